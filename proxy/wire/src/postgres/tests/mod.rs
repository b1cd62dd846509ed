//! What holds for every message: it survives a round trip at any split, and no bytes whatever
//! make a decoder panic.

mod generate;
mod malformed;
mod properties;
