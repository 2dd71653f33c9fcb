//! Giving memory back to the system: what starting needed once, and what a burst left behind.

#![allow(unsafe_code, reason = "the C library and the kernel are asked directly")]

/// Gives back free memory of the allocator, and the pages of code that ran at start and will not run again. They are
/// read from the file again if they are needed after all.
pub(crate) fn give_back() {
    trim_heap();
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        maps.lines().filter_map(code_range).for_each(|(start, end)| forget_pages(start, end));
    }
}

#[cfg(target_env = "gnu")]
fn trim_heap() {
    // SAFETY: malloc_trim takes a number and touches free memory of the allocator only; any thread may call it.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim_heap() {}

/// Start and end of a mapping that is code of a file: readable and executable, never written.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, rights) = (fields.next()?, fields.next()?);
    let file = fields.nth(3)?;
    if rights != "r-xp" || !file.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

fn forget_pages(start: usize, end: usize) {
    let pointer = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
    // SAFETY: the range is one whole file mapping that cannot be written (`r-xp`), so every page of it equals the file
    // and comes back as it was when it is touched next. A range that is no longer mapped makes the call fail, no more.
    unsafe { libc::madvise(pointer, end - start, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::{code_range, give_back};

    #[test]
    fn only_code_of_files_is_forgotten() {
        let code = "55d0c0a00000-55d0c0b00000 r-xp 00012000 fe:00 1234   /usr/bin/sagene";
        assert_eq!(code_range(code), Some((0x55d0_c0a0_0000, 0x55d0_c0b0_0000)));
        for other in [
            "55d0c0a00000-55d0c0b00000 r--p 00012000 fe:00 1234   /usr/bin/sagene",
            "7ffd1c5f2000-7ffd1c5f4000 r-xp 00000000 00:00 0      [vdso]",
            "7f0000000000-7f0000001000 r-xp 00000000 00:00 0",
        ] {
            assert_eq!(code_range(other), None, "{other}");
        }
        give_back();
    }
}
