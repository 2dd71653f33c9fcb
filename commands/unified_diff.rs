//! Texts compared line by line, in the unified format that `diff -u` and `patch` speak.

use diffy::DiffOptions;

/// Lines of context around a change where nothing else is asked for.
pub(crate) const CONTEXT: usize = 3;

/// What changes from `old` to `new`, each under its name, with `context` lines around each change. Of texts that are alike the two names alone
/// are left.
pub(crate) fn between(
    (old_name, old): (&str, &str),
    (new_name, new): (&str, &str),
    context: usize,
) -> String {
    format!("--- {old_name}\n+++ {new_name}\n{}", hunks(old, new, context))
}

/// The changes alone, without names.
pub(crate) fn hunks(old: &str, new: &str, context: usize) -> String {
    let patch = DiffOptions::new().set_context_len(context).create_patch(old, new).to_string();
    // Its first two lines are names, which it would quote by rules of its own.
    patch.splitn(3, '\n').nth(2).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_stand_between_the_lines_around_them() {
        let (old, new) = ("a\nb\nc\nd\n", "a\nb\nC\nd\n");
        assert_eq!(
            between(("Pod n/old", old), ("/dev/null", new), 1),
            "--- Pod n/old\n+++ /dev/null\n@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n"
        );
        assert_eq!(hunks("", "a\n", CONTEXT), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(hunks(old, old, CONTEXT), "");
    }
}
