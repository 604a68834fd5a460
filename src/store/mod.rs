//! SQLite journal, history, recordings, retention. The only room that knows SQL.
