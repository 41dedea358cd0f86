//! Pages for people: shared layout and escapes.
