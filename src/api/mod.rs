//! The REST surface for people and for the single page application (OpenPaaS shapes).
