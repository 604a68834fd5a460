//! The tables and how a file of any released version becomes one of this version. A migration is
//! never changed once released; new ones are added at the end.

use rusqlite::Connection;

/// `WALB`: tells our files from other programs' (`PRAGMA application_id`).
pub(super) const APPLICATION_ID: i64 = 0x5741_4C42;

/// One script per version, in order. Version 1 is the first.
pub(super) const MIGRATIONS: [&str; 7] = [V1, V2, V3, V4, V5, V6, V7];

/// The version this build writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

const V1: &str = "
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL
);
-- One row per call. `state` is the folded call without its transcript, as JSON; the columns beside
-- it are what is searched for. Ids are UUIDv7 texts and sort by time. Times are Unix milliseconds.
CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    carrier TEXT NOT NULL,
    carrier_call_id TEXT,
    direction TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    name TEXT,
    lead_id TEXT,
    agent TEXT,
    status TEXT NOT NULL,
    live INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    answered_at INTEGER,
    ended_at INTEGER,
    duration_s INTEGER,
    state TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX calls_by_carrier ON calls (carrier_call_id) WHERE carrier_call_id IS NOT NULL;
CREATE INDEX calls_by_lead ON calls (lead_id, id) WHERE lead_id IS NOT NULL;
CREATE INDEX calls_live ON calls (id) WHERE live = 1;
-- The ended call in the words of a call log.
CREATE TABLE call_log (
    call_id TEXT PRIMARY KEY,
    lead_id TEXT,
    status TEXT NOT NULL,
    transferred INTEGER NOT NULL,
    transfer_reason TEXT,
    duration_s INTEGER,
    transcript TEXT NOT NULL,
    summary TEXT,
    ended_at INTEGER
) WITHOUT ROWID;
CREATE TABLE leads (
    id TEXT PRIMARY KEY,
    name TEXT,
    last_call TEXT NOT NULL,
    call_status TEXT NOT NULL,
    transferred_to_human INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;
-- Transcript lines: speech, tools, marks. `no` counts from 0 within the call, `body` is the line as
-- JSON. Lines that may still change are not in the index.
CREATE TABLE utterances (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    no INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    at INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    text TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (call_id, no)
);
CREATE VIRTUAL TABLE utterances_fts USING fts5 (
    text, content = 'utterances', content_rowid = 'id',
    tokenize = \"unicode61 remove_diacritics 2\"
);
CREATE TRIGGER utterances_added AFTER INSERT ON utterances WHEN new.settled = 1 BEGIN
    INSERT INTO utterances_fts (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER utterances_settled AFTER UPDATE OF text, settled ON utterances
    WHEN new.settled = 1 AND old.settled = 0 BEGIN
    INSERT INTO utterances_fts (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER utterances_changed AFTER UPDATE OF text, settled ON utterances
    WHEN old.settled = 1 AND (new.text <> old.text OR new.settled = 0) BEGIN
    INSERT INTO utterances_fts (utterances_fts, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO utterances_fts (rowid, text) SELECT new.id, new.text WHERE new.settled = 1;
END;
CREATE TRIGGER utterances_removed AFTER DELETE ON utterances WHEN old.settled = 1 BEGIN
    INSERT INTO utterances_fts (utterances_fts, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TABLE turns (
    call_id TEXT NOT NULL,
    turn INTEGER NOT NULL,
    at INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    ears_ms INTEGER,
    think_ms INTEGER,
    voice_ms INTEGER
);
CREATE INDEX turns_by_call ON turns (call_id);
CREATE TABLE quality (
    call_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    band TEXT NOT NULL,
    bridge_score REAL,
    jitter_ms REAL,
    gap_pct REAL,
    rtt_ms REAL
);
CREATE INDEX quality_by_call ON quality (call_id);
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    reason TEXT NOT NULL,
    value REAL,
    threshold REAL,
    since INTEGER NOT NULL,
    cleared_at INTEGER,
    acknowledged_by TEXT
);
CREATE INDEX alerts_by_call ON alerts (call_id, rule);
-- Recordings of the carriers, and the file we keep of one (`file_id` names it).
CREATE TABLE recordings (
    call_id TEXT NOT NULL,
    recording TEXT NOT NULL,
    state TEXT NOT NULL,
    duration_s INTEGER,
    error TEXT,
    file_id TEXT UNIQUE,
    bytes INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (call_id, recording)
) WITHOUT ROWID;
-- Who did what to which call, why, and with what result. Only ever added to.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    client TEXT,
    verb TEXT NOT NULL,
    call_id TEXT,
    command_id TEXT,
    reason TEXT,
    result TEXT NOT NULL
);
CREATE INDEX audit_by_call ON audit (call_id) WHERE call_id IS NOT NULL;
-- The timeline: every fact but rewritten text, as it was published.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    call_id TEXT,
    type TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX events_by_call ON events (call_id) WHERE call_id IS NOT NULL;
";

/// Retention and the recordings list look for these without reading every row.
const V2: &str = "
CREATE INDEX calls_ended ON calls (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX recordings_unfetched ON recordings (updated_at)
    WHERE file_id IS NULL AND state = 'completed';
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX events_by_time ON events (at);
";

/// Leads that were imported, and the call log in its own words: `status` is `called` from the start
/// on and `transferred` once somebody has picked up; the carrier's word stands beside it.
const V3: &str = "
ALTER TABLE leads ADD COLUMN number TEXT;
-- What else the list said, as a JSON object of texts.
ALTER TABLE leads ADD COLUMN fields TEXT NOT NULL DEFAULT '{}';
-- NULL: known from calls alone.
ALTER TABLE leads ADD COLUMN imported_at INTEGER;
CREATE INDEX leads_by_number ON leads (number) WHERE number IS NOT NULL;
UPDATE leads SET call_status = CASE transferred_to_human WHEN 1 THEN 'transferred' ELSE 'called' END;
ALTER TABLE call_log ADD COLUMN carrier_status TEXT;
UPDATE call_log SET carrier_status = status,
    status = CASE transferred WHEN 1 THEN 'transferred' ELSE 'called' END;
";

/// Calls are found by the agent vendor's conversation too, and text messages of a lead are kept
/// beside its calls.
const V4: &str = "
ALTER TABLE calls ADD COLUMN conversation_id TEXT;
UPDATE calls SET conversation_id = json_extract(state, '$.conversation_id');
CREATE INDEX calls_by_conversation ON calls (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    lead_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    sent_by TEXT NOT NULL,
    channel TEXT NOT NULL,
    phone TEXT,
    text TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX messages_by_lead ON messages (lead_id, at);
CREATE INDEX messages_by_time ON messages (at);
";

/// Ids of calls that were removed with their lead: nothing late brings them back.
const V5: &str = "
CREATE TABLE graves (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Webhooks taken lately: the same ones again, after a restart, are no news.
const V6: &str = "
CREATE TABLE marks (
    mark BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX marks_by_time ON marks (at);
";

/// The time to the model's first word, which agents made of parts are judged by.
const V7: &str = "
ALTER TABLE turns ADD COLUMN token_ms INTEGER;
";

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the file to [`VERSION`], one transaction a version. The caller has made sure that it is
/// not newer.
pub(super) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let from = usize::try_from(version(connection)?).unwrap_or(0);
    for (done, script) in MIGRATIONS.iter().enumerate().skip(from) {
        let version = done + 1;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {script}
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {version};
             COMMIT;"
        ))?;
    }
    Ok(())
}
