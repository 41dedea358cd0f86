//! The composition root: chooses the engines and connects the rooms.
