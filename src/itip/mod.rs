//! Scheduling rules, pure: `(old, new, actor) -> messages` and `(calendar object, message) -> calendar object` (RFC 5546, RFC 6638).
