# Texts of the mails in English. Every locale has these keys and uses the same variables (src/mail/render/mod.rs).

# Names of days and months: a locale of the C library.
names-of = en_GB

## Dates and times, as patterns of strftime. { $day } is the day of the month.

date-pattern = { $day ->
   *[other] %A, %-d %B %Y
}
time-pattern = %H:%M

# From one point to another. { $date } is written with date-pattern, times with time-pattern.
when-same-day = { $date }, { $start } – { $end }
when-days-apart = { $start-date }, { $start } – { $end-date }, { $end }
when-no-end = { $date }, { $start }
when-all-day = { $date } (all day)
when-all-days = { $start-date } – { $end-date } (all day)
when-zone = { $when } ({ $zone })

## How an event repeats

every-day = { $interval ->
    [one] Every day
   *[other] Every { $interval } days
}
every-week = { $interval ->
    [one] Every week
   *[other] Every { $interval } weeks
}
every-month = { $interval ->
    [one] Every month
   *[other] Every { $interval } months
}
every-year = { $interval ->
    [one] Every year
   *[other] Every { $interval } years
}
on-days = { $rule } on { $days }
list-last = { $first } and { $last }
until-count = { $count ->
    [one] { $rule }, once
   *[other] { $rule }, { $count } times
}
until-date = { $rule }, until { $date }
repeats-somehow = This event repeats
one-occurrence = This is about one occurrence of a repeating event

## Rows of an event

row-title = Title
row-when = When
row-repeats = Repeats
row-location = Location
row-video = Video call
row-guests = Guests
row-resources = Resources
row-description = Description
row-comment = Comment
no-title = (no title)
map = See on a map
organizer-mark = organizer
optional-mark = optional
answer-accepted = accepted
answer-declined = declined
answer-tentative = maybe
answer-delegated = delegated
guests-more = { $count ->
    [one] and one more
   *[other] and { $count } more
}
labelled = { $label }:
before = Before
now = Now
added = added
removed = removed

## Links

see-in-calendar = See in calendar
question = Will you attend?
yes = Yes
maybe = Maybe
no = No
forward-warning = If you forward this mail, whoever gets it may answer in your name.

## event-invite

invite-subject = Invitation from { $organizer }: { $summary }
invite-title = { $organizer } invites you

## event-update

update-subject = Changed by { $organizer }: { $summary }
update-title = { $organizer } changed an event

# What changed that no row shows.
note-revived = The event takes place after all.
note-confirmed = The event is confirmed now.
note-tentative = The event is tentative now.
note-called-off = The event is cancelled now.
note-repetition = The repetition of the event changed.

## event-cancel

cancel-subject = Cancelled by { $organizer }: { $summary }
cancel-title = { $organizer } cancelled an event

## event-reply

reply-subject-accepted = Accepted: { $summary } ({ $name })
reply-subject-declined = Declined: { $summary } ({ $name })
reply-subject-tentative = Maybe: { $summary } ({ $name })
reply-subject-delegated = Delegated: { $summary } ({ $name })
reply-subject-pending = No answer yet: { $summary } ({ $name })
reply-title-accepted = { $name } will attend
reply-title-declined = { $name } will not attend
reply-title-tentative = { $name } may attend
reply-title-delegated = { $name } sends somebody else
reply-title-pending = { $name } took the answer back
