//! Names of fields as protobuf's JSON has them: <https://protobuf.dev/programming-guides/json/>.

/// `custom_tags` → `customTags`: no underscores, and the letter behind each of them a capital.
pub fn camel_case(name: &str) -> String {
    let mut made = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else {
            made.push(if upper { letter.to_ascii_uppercase() } else { letter });
            upper = false;
        }
    }
    made
}
