//! Accounts: who people are to us, how they come to be, and the home each of them has before the first request.
