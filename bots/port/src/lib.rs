//! What every chat must do: cards, clicks, commands. Knows no vendor.
