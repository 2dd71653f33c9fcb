//! A page for every message: what it means, an example, the cure.

use crate::code::Code;

macro_rules! pages {
    ($($id:literal)+) => {
        /// The page of a code by its id.
        fn text(id: &str) -> Option<&'static str> {
            match id {
                $($id => Some(include_str!(concat!("explain/pages/", $id, ".md"))),)+
                _ => None,
            }
        }
    };
}

pages! {
    "IST0001" "IST0002" "IST0101" "IST0102" "IST0103" "IST0106" "IST0107" "IST0108" "IST0109" "IST0110" "IST0111" "IST0112"
    "IST0116" "IST0118" "IST0123" "IST0125" "IST0126" "IST0127" "IST0128" "IST0129" "IST0130" "IST0131" "IST0132"
    "IST0133" "IST0134" "IST0135" "IST0136" "IST0137" "IST0138" "IST0139" "IST0140" "IST0141" "IST0142" "IST0143" "IST0144"
    "IST0145" "IST0146" "IST0147" "IST0148" "IST0149" "IST0150" "IST0151" "IST0152" "IST0153" "IST0154" "IST0155" "IST0156"
    "IST0157" "IST0158" "IST0159" "IST0160" "IST0161" "IST0162" "IST0163" "IST0164" "IST0165" "IST0166" "IST0167" "IST0168"
    "IST0169" "IST0170" "IST0171" "IST0172" "IST0173" "IST0174" "IST0175" "IST0176" "IST0177"
    "SGN0001" "SGN0002" "SGN0003" "SGN0004" "SGN0005" "SGN0006" "SGN0007" "SGN0008" "SGN0009" "SGN0010" "SGN0011" "SGN0012"
    "SGN0013" "SGN0014" "SGN0015" "SGN0016" "SGN0017" "SGN0100"
}

/// The page of a message, in Markdown, without its headline. Empty where none was written, which the tests do not allow.
pub fn page(code: Code) -> &'static str {
    let text = text(code.id()).unwrap_or_default();
    text.split_once('\n').map_or("", |(_, rest)| rest.trim_start())
}

/// The cure in one sentence: the first line of the page.
pub fn hint(code: Code) -> &'static str {
    let text = text(code.id()).unwrap_or_default();
    text.lines().next().map_or("", |line| line.trim_start_matches("> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_with_all_its_parts() {
        for code in Code::ALL {
            let id = code.id();
            assert!(hint(*code).ends_with('.'), "{id}: the first line is the cure in one sentence: > …");
            assert!(
                !page(*code).is_empty(),
                "{id} has no page: write src/analysis/explain/pages/{id}.md and name it in explain.rs"
            );
            for part in ["## Example", "## Cure"] {
                assert!(page(*code).contains(part), "{id}: {part} is missing");
            }
            assert!(
                page(*code).matches("```").count().is_multiple_of(2),
                "{id}: a block of code is not closed"
            );
        }
    }
}
