"""What a program on the Python caldav library does with a CalDAV server: discovery, calendars, events, tasks, journals,
search by time and text, recurrences, synchronisation, free-busy.

    caldav_client.py URL USER PASSWORD

The library mends much of what servers get wrong; here its mending is switched off, so that the server's own answers are
seen. Exits with 1 at the first step that goes wrong.
"""

import sys
import time
from datetime import UTC, date, datetime, timedelta

import caldav
from caldav.elements import dav
from caldav.lib import error

DAY = datetime(2026, 6, 1, tzinfo=UTC)
STEPS = []


def step(function):
    STEPS.append(function)
    return function


def at(hour: float, days: int = 0) -> datetime:
    return DAY + timedelta(days=days, hours=hour)


def found(calendar, **what) -> list[str]:
    """The UIDs that the server gives for a search, one for each component it returns."""
    results = calendar.search(post_filter=False, compatibility_workarounds=False, **what)
    return sorted(str(result.component["uid"]) for result in results)


def expect(seen, wanted, what: str = "") -> None:
    if seen != wanted:
        raise AssertionError(f"{what or 'answer'}: wanted {wanted!r}, saw {seen!r}")


def names(calendars) -> list[str]:
    return [str(c.url).rstrip("/").rsplit("/", 1)[-1] for c in calendars]


@step
def a_calendar_is_made_and_found(s):
    s.name = f"caldav-{time.time_ns()}"
    s.calendar = s.principal.make_calendar(name="Projets d'été & <hiver>", cal_id=s.name)
    assert s.name in names(s.principal.get_calendars()), "the new calendar is not in the home"
    expect(s.calendar.get_property(dav.DisplayName()), "Projets d'été & <hiver>", "name")
    components = set(s.calendar.get_supported_components())
    assert {"VEVENT", "VTODO", "VJOURNAL"} <= components, f"supported components: {components}"


@step
def its_name_can_be_changed(s):
    s.calendar.set_properties([dav.DisplayName("Renamed")])
    expect(s.calendar.get_property(dav.DisplayName()), "Renamed", "name")


@step
def an_event_is_stored_and_read_back(s):
    event = s.calendar.add_event(
        uid="lunch",
        dtstart=at(12),
        dtend=at(13),
        summary="Déjeuner; with, commas",
        location="Café",
        description="line one\nline two " + "very " * 60 + "long",
        categories=["FOOD", "TEAM"],
    )
    again = s.calendar.get_event_by_uid("lunch")
    expect(str(again.component["summary"]), "Déjeuner; with, commas", "summary")
    expect(str(again.component["description"]), "line one\nline two " + "very " * 60 + "long", "description")
    expect(again.component["dtstart"].dt, at(12), "start")
    expect(event.url.canonical(), again.url.canonical(), "address")


@step
def a_change_is_kept_and_a_stale_one_refused(s):
    one = s.calendar.get_event_by_uid("lunch")
    other = s.calendar.get_event_by_uid("lunch")
    one.component["summary"] = "Dinner"
    one.save()
    expect(str(s.calendar.get_event_by_uid("lunch").component["summary"]), "Dinner", "summary")
    etag = other.props.get(dav.GetEtag.tag)
    answer = s.client.put(str(other.url), other.data, {"If-Match": etag or '"stale"', "Content-Type": "text/calendar"})
    expect(answer.status, 412, "status of a change with an old ETag")
    answer = s.client.put(str(other.url), other.data, {"If-None-Match": "*", "Content-Type": "text/calendar"})
    expect(answer.status, 412, "status of a creation over an existing event")
    expect(str(s.calendar.get_event_by_uid("lunch").component["summary"]), "Dinner", "summary")


@step
def events_are_found_by_time(s):
    s.calendar.add_event(uid="early", dtstart=at(6), dtend=at(7), summary="Run")
    s.calendar.add_event(uid="all-day", dtstart=date(2026, 6, 2), dtend=date(2026, 6, 3), summary="Holiday")
    s.calendar.add_event(uid="long", dtstart=at(0, -10), dtend=at(0, 10), summary="Conference")
    expect(found(s.calendar, event=True, start=at(11), end=at(14)), ["long", "lunch"], "11 to 14 h")
    expect(found(s.calendar, event=True, start=at(13), end=at(14)), ["long"], "an event does not reach its end")
    expect(found(s.calendar, event=True, start=at(6.5), end=at(6.75)), ["early", "long"], "inside of an event")
    expect(found(s.calendar, event=True, start=at(8, 1), end=at(9, 1)), ["all-day", "long"], "inside of an all-day event")
    expect(found(s.calendar, event=True, start=at(0, 30), end=at(0, 31)), [], "a month later")


@step
def events_are_found_by_text(s):
    expect(found(s.calendar, event=True, summary="inne"), ["lunch"], "part of the summary")
    expect(found(s.calendar, event=True, summary="DINNER"), [], "another case")
    whatever_case = s.calendar.searcher(event=True)
    whatever_case.add_property_filter("summary", "DINNER", case_sensitive=False)
    results = whatever_case.search(s.calendar, post_filter=False, compatibility_workarounds=False)
    expect([str(r.component["uid"]) for r in results], ["lunch"], "whatever the case")
    expect(found(s.calendar, event=True, location="Café"), ["lunch"], "location")
    expect(found(s.calendar, event=True, summary="nothing like it"), [], "no such text")


@step
def a_series_is_stored_found_and_expanded(s):
    s.calendar.add_event(
        ical="\r\n".join(
            [
                "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example.org//test//EN",
                "BEGIN:VEVENT", "UID:series", "DTSTAMP:20260101T000000Z", "SUMMARY:Weekly",
                "DTSTART:20260701T090000Z", "DTEND:20260701T100000Z", "RRULE:FREQ=WEEKLY;COUNT=6", "EXDATE:20260715T090000Z",
                "END:VEVENT",
                "BEGIN:VEVENT", "UID:series", "DTSTAMP:20260101T000000Z", "SUMMARY:Moved", "RECURRENCE-ID:20260708T090000Z",
                "DTSTART:20260709T140000Z", "DTEND:20260709T150000Z", "END:VEVENT",
                "END:VCALENDAR", "",
            ]
        )
    )
    july = datetime(2026, 7, 1, tzinfo=UTC)

    def between(first: int, last: int, **more):
        return dict(event=True, start=july + timedelta(days=first), end=july + timedelta(days=last), **more)

    expect(found(s.calendar, **between(27, 29)), ["series"], "a later occurrence")
    expect(found(s.calendar, **between(14, 15)), [], "an excluded occurrence")
    expect(found(s.calendar, **between(7, 8)), [], "where the moved occurrence was")
    expect(found(s.calendar, **between(8, 9)), ["series"], "where it went")
    expect(found(s.calendar, **between(60, 90)), [], "after the last one")
    results = s.calendar.search(
        post_filter=False, compatibility_workarounds=False, server_expand=True, split_expanded=True, **between(0, 30)
    )
    starts = sorted(result.component["dtstart"].dt for result in results)
    expect([s.strftime("%d %H:%M") for s in starts], ["01 09:00", "09 14:00", "22 09:00", "29 09:00"], "expanded starts")
    assert all("rrule" not in result.component for result in results), "an expanded event still has its rule"


@step
def a_task_is_made_and_completed(s):
    task = s.calendar.add_todo(uid="milk", summary="Buy milk", due=at(18), priority=3)
    s.calendar.add_todo(uid="bread", summary="Buy bread")
    expect(found(s.calendar, todo=True, include_completed=True), ["bread", "milk"], "tasks")
    expect(found(s.calendar, todo=True, include_completed=True, start=at(17), end=at(19)), ["bread", "milk"], "by due time")
    task.complete(completion_timestamp=at(16))
    again = s.calendar.get_todo_by_uid("milk")
    expect(str(again.component["status"]), "COMPLETED", "status")
    expect([str(t.component["uid"]) for t in s.calendar.get_todos()], ["bread"], "tasks to do")


@step
def a_journal_is_made_and_found(s):
    s.calendar.add_journal(uid="minutes", dtstart=date(2026, 6, 5), summary="Minutes", description="We met.")
    expect(found(s.calendar, journal=True), ["minutes"], "journals")
    expect(found(s.calendar, journal=True, start=at(0, 4), end=at(0, 5)), ["minutes"], "by day")
    expect(found(s.calendar, event=True, summary="Minutes"), [], "a journal is no event")


@step
def many_are_fetched_at_once(s):
    urls = [s.calendar.get_event_by_uid(uid).url for uid in ("lunch", "early", "series")]
    fetched = s.calendar.multiget(urls)
    expect(sorted({str(e.component["uid"]) for e in fetched}), ["early", "lunch", "series"], "multiget")


@step
def changes_are_told_by_a_sync_token(s):
    state = s.calendar.get_objects_by_sync_token(disable_fallback=True)
    expect(len(list(state)), 8, "objects of a first synchronisation")
    again = s.calendar.get_objects_by_sync_token(state.sync_token, disable_fallback=True)
    expect(len(list(again)), 0, "changes when nothing changed")
    lunch = s.calendar.get_event_by_uid("lunch")
    lunch.component["location"] = "Garden"
    lunch.save()
    s.calendar.add_event(uid="new", dtstart=at(20), dtend=at(21), summary="New")
    s.calendar.get_event_by_uid("early").delete()
    changed = s.calendar.get_objects_by_sync_token(again.sync_token, disable_fallback=True)
    expect(len(list(changed)), 3, "changes: one changed, one new, one deleted")


@step
def free_and_busy_times_are_told(s):
    answer = s.calendar.freebusy_request(at(0), at(0, 1))
    busy = answer.icalendar_instance.walk("VFREEBUSY")[0]["freebusy"]
    periods = [p for entry in (busy if isinstance(busy, list) else [busy]) for p in getattr(entry, "dts", [entry])]
    spans = [(p.start, p.end) for p in periods]
    assert any(start <= at(20) and end >= at(21) for start, end in spans), f"20 to 21 h is busy, not in {spans}"


@step
def what_is_deleted_is_gone(s):
    for uid in ("lunch", "series"):
        s.calendar.get_event_by_uid(uid).delete()
    try:
        s.calendar.get_event_by_uid("lunch")
    except error.NotFoundError:
        pass
    else:
        raise AssertionError("a deleted event is still found")
    expect(found(s.calendar, event=True), ["all-day", "long", "new"], "events left")


@step
def the_calendar_is_deleted(s):
    s.calendar.delete()
    assert s.name not in names(s.principal.get_calendars()), "the deleted calendar is still in the home"


class Session:
    """A signed-in client; the steps keep what they share here."""

    def __init__(self, url: str, user: str, password: str):
        self.client = caldav.DAVClient(url=url, username=user, password=password, enable_rfc6764=False, auth_type="basic")
        self.principal = self.client.principal()


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: caldav_client.py URL USER PASSWORD", file=sys.stderr)
        return 2
    session = Session(*sys.argv[1:])
    for function in STEPS:
        print("-", function.__name__.replace("_", " "), flush=True)
        try:
            function(session)
        except Exception as problem:
            print(f"WRONG: {type(problem).__name__}: {problem}", file=sys.stderr)
            return 1
    print("caldav library: all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
