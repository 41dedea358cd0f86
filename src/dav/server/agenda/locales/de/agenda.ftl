# Texte der Kalenderseite auf Deutsch.

names-of = de_DE
direction = ltr

## Tage und Uhrzeiten

date-pattern = { $day ->
   *[other] %A, %-d. %B %Y
}
time-pattern = %H:%M
month-pattern = %B %Y
weekday-pattern = %a
first-day-pattern = { $day ->
   *[other] %-d. %B
}
first-day-of-month-pattern = { $day ->
   *[other] %-d.
}
first-day-of-year-pattern = { $day ->
   *[other] %-d. %B %Y
}
last-day-pattern = { $day ->
   *[other] %-d. %B %Y
}
day-pattern = { $day ->
   *[other] %a, %-d. %b
}
from-to = { $first } – { $last }
date-time = { $date }, { $time }
all-day = Ganztägig
until-time = bis { $time }
day-of-days = Tag { $day } von { $days }

## Um den Kalender herum

page-title = { $heading } · { $name }
skip = Zum Inhalt springen
calendars = Kalender
all-calendars = Alle Kalender
default-calendar = Hauptkalender
address-books = Adressbücher
views = Ansichten
view-month = Monat
view-week = Woche
view-list = Liste
steps = Ein anderer Zeitraum
earlier = Früher
later = Später
today = Heute
date = Datum
time-zone = Zeitzone
show = Anzeigen
week-number = Woche { $number }
more-events = { $count ->
    [one] { $count } weiterer
   *[other] { $count } weitere
}
nothing = In diesem Zeitraum ist nichts geplant.
truncated = Diese Seite zeigt { $count } Termine und lässt die übrigen weg. Ein kürzerer Zeitraum zeigt alle.
times-in = Uhrzeiten gelten in der Zeitzone { $zone }.

## Termine

no-title = (ohne Titel)
busy = Beschäftigt
mark-repeats = wiederholt sich
mark-private = privat
mark-cancelled = abgesagt
mark-tentative = vorläufig
mark-task = Aufgabe
mark-done = erledigt
mark-continued = Fortsetzung
row-when = Wann
row-calendar = Kalender
row-location = Ort
row-video = Videokonferenz
row-link = Link
row-organizer = Organisator
row-guests = Gäste
row-description = Beschreibung
row-categories = Kategorien
row-attachments = Anhänge
guest-optional = optional
answer-accepted = zugesagt
answer-declined = abgesagt
answer-tentative = vielleicht
answer-delegated = weitergegeben
answer-pending = noch keine Antwort
guests-more = { $count ->
    [one] und { $count } weiterer
   *[other] und { $count } weitere
}

## Adressen für Programme

addresses = In Ihren eigenen Programmen
addresses-login = Jedes Programm fragt nach dem Benutzernamen und nach dem Passwort, mit dem Sie sich hier angemeldet haben. Der Benutzername ist:
server = Adresse des Servers
this-calendar = Adresse dieses Kalenders
thunderbird = Thunderbird
thunderbird-hint = Neuer Kalender, Im Netzwerk; Benutzername eingeben und als Adresse:
apple = iPhone, iPad und Mac
apple-hint = Einstellungen, Kalenderaccounts, Account hinzufügen, Andere, CalDAV-Account; als Server eingeben:
davx5 = Android mit DAVx⁵
davx5-hint = Konto hinzufügen, Mit URL und Benutzername anmelden; oder den Code mit der Kamera des Telefons lesen. Die Basis-URL ist:
evolution = Evolution und GNOME
evolution-hint = Neuer Kalender vom Typ CalDAV; als URL eingeben:
file = Als Datei (iCalendar)
file-hint = Programme, die nur lesen, können diese Adresse abonnieren; hier geöffnet, speichert sie den Kalender:
code-davx5 = Code, der DAVx⁵ mit diesem Konto öffnet
code-page = Code mit der Adresse dieser Seite
code-davx5-hint = Öffnet DAVx⁵ auf einem Android-Telefon
code-page-hint = Öffnet diese Seite auf einem Telefon

## Adressbücher

truncated-cards = Diese Seite zeigt { $count } Karten und lässt die übrigen weg.
column-name = Name
column-email = E-Mail
column-phone = Telefon
no-cards = In diesem Adressbuch ist niemand.
no-name = (ohne Namen)
