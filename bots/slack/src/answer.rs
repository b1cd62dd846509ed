//! An answer to a command as Block Kit. Pure; keeps Slack's limits whatever it says.

use abeyance_chat::{
    Line,
    command::{Answer, Part},
};
use slack_morphism::prelude::*;

use crate::{
    blocks::{footer, line, section},
    limits, text,
};

const CUT: &str = "There is more than fits here; the console shows it all.";

/// The text for whoever cannot show blocks, and the blocks.
pub(crate) fn rendered(answer: &Answer) -> (String, Vec<SlackBlock>) {
    let mut out = Rendering::default();
    for part in &answer.parts {
        match part {
            Part::Title(title) => out.flow(&format!(
                "*{}*",
                text::prose(title, limits::HEADER_TEXT_MAX)
            )),
            Part::Line(said) => out.flow(&line(said, limits::ITEM_MAX)),
            Part::Item(said) => out.flow(&format!("• {}", line(said, limits::ITEM_MAX))),
            Part::Sql(sql) => out.block(text::code_block(sql, limits::SECTION_TEXT_MAX)),
            Part::Note(said) => out.note(said),
        }
    }
    out.end_of_flow();
    if out.cut {
        out.blocks.push(section(CUT.to_owned()));
    }
    (fallback(answer), out.blocks)
}

#[derive(Default)]
struct Rendering {
    blocks: Vec<SlackBlock>,
    /// Lines that go into one section together.
    flow: String,
    /// What all blocks hold so far.
    used: usize,
    cut: bool,
}

impl Rendering {
    /// Room for so much more, with what says that there is no more room.
    fn takes(&mut self, said: &str) -> bool {
        let length = text::length(said) + 1;
        let full = self.used + length > limits::BLOCK_TEXT_TOTAL_MAX - CUT.len()
            || self.blocks.len() + 3 > limits::BLOCKS_MAX;
        self.cut |= full;
        if !self.cut {
            self.used += length;
        }
        !self.cut
    }

    fn flow(&mut self, said: &str) {
        if !self.takes(said) {
            return;
        }
        if text::length(&self.flow) + text::length(said) + 1 > limits::SECTION_TEXT_MAX {
            self.end_of_flow();
        }
        if !self.flow.is_empty() {
            self.flow.push('\n');
        }
        self.flow.push_str(said);
    }

    fn end_of_flow(&mut self) {
        if !self.flow.is_empty() {
            self.blocks.push(section(std::mem::take(&mut self.flow)));
        }
    }

    fn block(&mut self, said: String) {
        if self.takes(&said) {
            self.end_of_flow();
            self.blocks.push(section(said));
        }
    }

    fn note(&mut self, said: &Line) {
        if self.takes(&line(said, limits::FACT_MAX)) {
            self.end_of_flow();
            self.blocks.push(footer(said));
        }
    }
}

fn fallback(answer: &Answer) -> String {
    let mut said = String::new();
    for part in &answer.parts {
        let room = limits::FALLBACK_MAX.saturating_sub(text::length(&said) + 1);
        let more = match part {
            Part::Title(title) => text::prose(title, room.min(limits::HEADER_TEXT_MAX)),
            Part::Line(line) | Part::Item(line) => self::line(line, room),
            Part::Sql(_) | Part::Note(_) => continue,
        };
        if more.is_empty() {
            break;
        }
        if !said.is_empty() {
            said.push('\n');
        }
        said.push_str(&more);
    }
    said
}

#[cfg(test)]
mod tests {
    use abeyance_chat::Piece;
    use serde_json::Value;

    use super::*;

    fn words(said: &str) -> Line {
        vec![Piece::Text(said.to_owned())]
    }

    #[test]
    fn an_answer_is_text_and_blocks_and_nothing_in_it_can_notify() {
        let answer = Answer {
            parts: vec![
                Part::Title("<!channel> *now*".to_owned()),
                Part::Item(vec![
                    Piece::Code("HLD-7K3Q".to_owned()),
                    Piece::Text(" · <@U0BOB0001>".to_owned()),
                ]),
                Part::Sql("DELETE FROM visits ``` <!here>".to_owned()),
                Part::Note(words("that is all")),
            ],
        };
        let (said, blocks) = rendered(&answer);
        insta::assert_json_snapshot!(blocks);
        assert!(said.starts_with("&lt;!channel&gt;"), "{said}");
    }

    #[test]
    fn the_longest_answer_fits_and_says_what_is_missing() {
        let items = (0..400).map(|n| Part::Item(words(&format!("{n} {}", "<&>".repeat(200)))));
        let (said, blocks) = rendered(&Answer {
            parts: items.collect(),
        });
        assert!(text::length(&said) <= limits::FALLBACK_MAX);
        assert!(blocks.len() <= limits::BLOCKS_MAX);
        let json = serde_json::to_value(&blocks).unwrap();
        let texts: Vec<&str> = json
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|block| block.pointer("/text/text").and_then(Value::as_str))
            .collect();
        assert!(
            texts
                .iter()
                .all(|text| text::length(text) <= limits::SECTION_TEXT_MAX)
        );
        let total: usize = texts.iter().map(|text| text::length(text)).sum();
        assert!(total <= limits::BLOCK_TEXT_TOTAL_MAX, "{total}");
        assert_eq!(texts.last(), Some(&CUT));
    }
}
