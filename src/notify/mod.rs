//! Who is told what: iTIP messages are delivered to calendars and turned into mails.
