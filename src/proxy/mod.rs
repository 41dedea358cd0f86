//! `/dav/**`: single sign-on in front of any DAV server.
