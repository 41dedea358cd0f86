# Texts of the agenda page in English. Every locale has these keys and uses the same variables (src/dav/server/agenda/mod.rs).

# Names of days and months: a locale of the C library.
names-of = en_GB
# Writing direction of the language: ltr or rtl.
direction = ltr

## Dates and times, as patterns of strftime. { $day } is the day of the month.

date-pattern = { $day ->
   *[other] %A, %-d %B %Y
}
time-pattern = %H:%M
month-pattern = %B %Y
weekday-pattern = %a
# The first and the last day of a time that has both.
first-day-pattern = { $day ->
   *[other] %-d %B
}
first-day-of-month-pattern = { $day ->
   *[other] %-d
}
first-day-of-year-pattern = { $day ->
   *[other] %-d %B %Y
}
last-day-pattern = { $day ->
   *[other] %-d %B %Y
}
day-pattern = { $day ->
   *[other] %a, %-d %b
}
from-to = { $first } – { $last }
date-time = { $date }, { $time }
all-day = All day
until-time = until { $time }
day-of-days = Day { $day } of { $days }

## Around the agenda

page-title = { $heading } · { $name }
skip = Skip to the content
calendars = Calendars
all-calendars = All calendars
default-calendar = Main calendar
address-books = Address books
views = Views
view-month = Month
view-week = Week
view-list = List
steps = Another time
earlier = Earlier
later = Later
today = Today
date = Date
time-zone = Time zone
show = Show
week-number = Week { $number }
more-events = { $count ->
    [one] { $count } more
   *[other] { $count } more
}
nothing = Nothing is planned in this time.
truncated = This page shows { $count } events and leaves out the others. A shorter time shows all of them.
times-in = Times are shown in the time zone { $zone }.

## Events

no-title = (no title)
busy = Busy
mark-repeats = repeats
mark-private = private
mark-cancelled = cancelled
mark-tentative = tentative
mark-task = task
mark-done = done
mark-continued = continued
row-when = When
row-calendar = Calendar
row-location = Location
row-video = Video call
row-link = Link
row-organizer = Organizer
row-guests = Guests
row-description = Description
row-categories = Categories
row-attachments = Attachments
guest-optional = optional
answer-accepted = accepted
answer-declined = declined
answer-tentative = tentative
answer-delegated = delegated
answer-pending = no answer yet
guests-more = { $count ->
    [one] and { $count } more
   *[other] and { $count } more
}

## Addresses for programs

addresses = In your own programs
addresses-login = Every program asks for the user name and for the password you signed in with here. The user name is:
server = Address of the server
this-calendar = Address of this calendar
thunderbird = Thunderbird
thunderbird-hint = New calendar, On the network; enter the user name, and as location:
apple = iPhone, iPad and Mac
apple-hint = Settings, Calendar accounts, Add account, Other, CalDAV account; enter as server:
davx5 = Android with DAVx⁵
davx5-hint = Add account, Login with URL and user name; or scan the code with the phone’s camera. The base URL is:
evolution = Evolution and GNOME
evolution-hint = New calendar of the type CalDAV; enter as URL:
file = As a file (iCalendar)
file-hint = Programs that only read can subscribe to this address; opened here, it saves the calendar:
code-davx5 = Code that opens DAVx⁵ with this account
code-page = Code with the address of this page
code-davx5-hint = Opens DAVx⁵ on an Android phone
code-page-hint = Opens this page on a phone

## Address books

truncated-cards = This page shows { $count } cards and leaves out the others.
column-name = Name
column-email = Mail
column-phone = Telephone
no-cards = There is nobody in this address book.
no-name = (no name)
