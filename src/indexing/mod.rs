//! Keeps the search index in step with the calendars.
