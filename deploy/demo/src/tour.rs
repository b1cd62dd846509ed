//! The demo by hand: says where everything is and what to try.

use crate::{chat::Chat, postgres::Postgres, product::Abeyance, say};

/// Shows the way around.
pub fn show(database: &Postgres, product: &Abeyance, chat: &Chat) {
    say::line(&format!(
        "\nA clinic with made-up patients runs on PostgreSQL {}, and Abeyance in front of it.",
        database.version
    ));
    say::line("\nConnect as the agent billing-bot, which belongs to Ann:\n");
    say::line(&format!(
        "    PGPASSWORD={} psql -h 127.0.0.1 -p {} -U {} clinic",
        product.agent_password,
        product.proxy.port(),
        product.agent
    ));
    match chat.pages() {
        Some((bob, ann)) => {
            say::line("\nThe stand-in for Slack, where cards come up:\n");
            say::line(&format!("    as Bob   {bob}"));
            say::line(&format!("    as Ann   {ann}"));
        }
        None => say::line(&format!(
            "\nCards come up in your Slack channel {}.",
            chat.channel
        )),
    }
    say::line("\nThe console:\n");
    say::line(&format!("    http://{}/", product.console));
    say::line(&format!("    Bob's token   {}", product.console_token));
    behind(database, product);
    say::line("\nTry:\n");
    for (sql, what) in [
        ("SELECT count(*) FROM patients;", "passes at once"),
        (
            "DELETE FROM appointments WHERE starts < '2026-01-05';",
            "waits: approve it as Bob and watch it finish",
        ),
        (
            "UPDATE billing SET status = 'paid';",
            "waits: deny it, and psql shows your reason",
        ),
        ("TRUNCATE visits;", "waits 4 seconds, then gives up"),
        (
            "DELETE FROM patients;",
            "waits: press Ctrl-C in psql, and the card says it was withdrawn",
        ),
    ] {
        say::line(&format!("    {sql:<56} -- {what}"));
    }
    say::line(
        "\nOn the chat page, type /abeyance holds or /abeyance help.\n\
         Ann owns the agent, so her click is answered with an explanation. Ctrl-C here ends everything.",
    );
}

/// The database past Abeyance, and the configuration for commands of one's own.
fn behind(database: &Postgres, product: &Abeyance) {
    say::line("\nThe database itself, past Abeyance, as only Abeyance reaches it:\n");
    say::line(&format!(
        "    PGPASSWORD={} psql -h 127.0.0.1 -p {} -U clinic_app clinic",
        database.app_password, database.port
    ));
    say::line("\nThe configuration it runs with, and a command that reads it:\n");
    say::line(&format!("    {}", product.config.display()));
    say::line(&format!(
        "    CLINIC_PASSWORD={} {} explain --config {} --sql 'DELETE FROM visits'",
        database.app_password,
        product.binary.display(),
        product.config.display()
    ));
}
