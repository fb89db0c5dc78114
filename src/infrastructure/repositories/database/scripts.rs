//! The list of the migrations.

/// A numbered change of the schema. Its script never changes after a release: a new migration is added instead.
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) name: &'static str,
    pub(super) script: &'static str,
}

/// Returns the names of the tables that the migrations create.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> {
    let lines = MIGRATIONS.iter().flat_map(|migration| migration.script.lines());
    lines.filter_map(|line| line.strip_prefix("CREATE TABLE ")?.strip_suffix(" ("))
}

/// All migrations, in their order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "store", script: include_str!("../../../../migrations/0001_store.sql") },
    Migration {
        version: 2,
        name: "email_events",
        script: include_str!("../../../../migrations/0002_email_events.sql"),
    },
    Migration { version: 3, name: "files", script: include_str!("../../../../migrations/0003_files.sql") },
    Migration {
        version: 4,
        name: "product_images",
        script: include_str!("../../../../migrations/0004_product_images.sql"),
    },
    Migration {
        version: 5,
        name: "user_tokens",
        script: include_str!("../../../../migrations/0005_user_tokens.sql"),
    },
    Migration {
        version: 6,
        name: "session_use",
        script: include_str!("../../../../migrations/0006_session_use.sql"),
    },
    Migration {
        version: 7,
        name: "event_traces",
        script: include_str!("../../../../migrations/0007_event_traces.sql"),
    },
    Migration {
        version: 8,
        name: "feature_flags",
        script: include_str!("../../../../migrations/0008_feature_flags.sql"),
    },
    Migration {
        version: 9,
        name: "audit_log",
        script: include_str!("../../../../migrations/0009_audit_log.sql"),
    },
    Migration { version: 10, name: "roles", script: include_str!("../../../../migrations/0010_roles.sql") },
    Migration {
        version: 11,
        name: "api_keys",
        script: include_str!("../../../../migrations/0011_api_keys.sql"),
    },
    Migration {
        version: 12,
        name: "access_token_keys",
        script: include_str!("../../../../migrations/0012_access_token_keys.sql"),
    },
    Migration {
        version: 13,
        name: "product_contents",
        script: include_str!("../../../../migrations/0013_product_contents.sql"),
    },
    Migration { version: 14, name: "holds", script: include_str!("../../../../migrations/0014_holds.sql") },
    Migration {
        version: 15,
        name: "one_time_passwords",
        script: include_str!("../../../../migrations/0015_one_time_passwords.sql"),
    },
    Migration {
        version: 16,
        name: "cache_invalidations",
        script: include_str!("../../../../migrations/0016_cache_invalidations.sql"),
    },
    Migration {
        version: 17,
        name: "user_data_versions",
        script: include_str!("../../../../migrations/0017_user_data_versions.sql"),
    },
    Migration {
        version: 18,
        name: "sessions_elsewhere",
        script: include_str!("../../../../migrations/0018_sessions_elsewhere.sql"),
    },
    Migration {
        version: 19,
        name: "email_traces",
        script: include_str!("../../../../migrations/0019_email_traces.sql"),
    },
    Migration {
        version: 20,
        name: "due_subscriptions",
        script: include_str!("../../../../migrations/0020_due_subscriptions.sql"),
    },
    Migration {
        version: 21,
        name: "invoices_by_user",
        script: include_str!("../../../../migrations/0021_invoices_by_user.sql"),
    },
    Migration {
        version: 22,
        name: "read_only_api_keys",
        script: include_str!("../../../../migrations/0022_read_only_api_keys.sql"),
    },
    Migration {
        version: 23,
        name: "limited_emails",
        script: include_str!("../../../../migrations/0023_limited_emails.sql"),
    },
    Migration {
        version: 24,
        name: "webhook_creators",
        script: include_str!("../../../../migrations/0024_webhook_creators.sql"),
    },
    Migration {
        version: 25,
        name: "never_truncated",
        script: include_str!("../../../../migrations/0025_never_truncated.sql"),
    },
];
