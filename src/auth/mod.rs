//! Who is asking: bearer tokens of OpenID providers and Basic credentials become an [`crate::ids::Email`].
