//! The same tests as beside this file, with PostgreSQL as the store.

#[path = "cards.rs"]
mod cards;
#[path = "console.rs"]
mod console;
#[path = "crash.rs"]
mod crash;
#[path = "http.rs"]
mod http;
#[path = "life.rs"]
mod life;
