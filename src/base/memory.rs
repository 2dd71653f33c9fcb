//! What the process holds of memory, and giving it back to the system: what starting needed once, and what a burst left
//! behind.

#![allow(unsafe_code, reason = "the C library and the kernel are asked directly")]

mod rest;

use std::ops::Range;

pub use rest::give_back_at_rest;

/// Gives back free memory of the allocator, and the pages of the program file (code, constants, unwinding tables) that
/// are mapped but may not be needed again. Those that are come back from the page cache when they are touched.
pub fn give_back() {
    trim_heap();
    unwritable_segments().into_iter().filter_map(whole_pages).for_each(forget_pages);
}

/// Resident memory in bytes; 0 where the kernel does not tell.
pub fn resident() -> u64 {
    field_bytes(&status(), "VmRSS:")
}

/// What the kernel says of this process; empty where it does not.
pub fn status() -> String {
    std::fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// A `Name:  123 kB` line of [`status`] in bytes; 0 when there is none.
pub fn field_bytes(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes * 1024)
}

#[cfg(target_env = "gnu")]
fn trim_heap() {
    // SAFETY: malloc_trim takes a number and touches free memory of the allocator only; any thread may call it.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim_heap() {}

/// Where the loaded segments of the program lie that were never writable. The program's headers are asked and not
/// `/proc/self/maps`, where constants look like relocated data that is write-protected by now and must not be lost.
fn unwritable_segments() -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    // SAFETY: the callback has the type that the C library asks for and gets the pointer to `segments`, which outlives
    // the call and is used by nothing else meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(add_segments), (&raw mut segments).cast()) };
    segments
}

/// Called for each loaded object, the program first: it takes the program's segments and ends there.
unsafe extern "C" fn add_segments(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    segments: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the C library hands in an object that is valid during the call, with `dlpi_phnum` headers at `dlpi_phdr`;
    // `segments` is the list that `unwritable_segments` passed.
    let (object, segments) = unsafe { (&*object, &mut *segments.cast::<Vec<Range<usize>>>()) };
    if !object.dlpi_phdr.is_null() {
        // SAFETY: as above.
        let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
        segments.extend(
            headers
                .iter()
                .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0)
                .filter_map(|header| {
                    let start = usize::try_from(object.dlpi_addr.checked_add(header.p_vaddr)?).ok()?;
                    Some(start..start.checked_add(usize::try_from(header.p_memsz).ok()?)?)
                }),
        );
    }
    1
}

/// The pages that lie in the range entirely: a page at its edge could be shared with a writable neighbour.
fn whole_pages(range: Range<usize>) -> Option<Range<usize>> {
    // SAFETY: sysconf takes a number and returns one.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .ok()
        .filter(|page| page.is_power_of_two())?;
    let pages = range.start.checked_next_multiple_of(page)?..range.end / page * page;
    (pages.start < pages.end).then_some(pages)
}

fn forget_pages(pages: Range<usize>) {
    let pointer = std::ptr::with_exposed_provenance_mut::<libc::c_void>(pages.start);
    // SAFETY: these are whole pages of a segment of the program file that was never writable, so every one of them
    // equals the file and comes back as it was when it is touched next.
    unsafe { libc::madvise(pointer, pages.end - pages.start, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::{field_bytes, give_back, resident, status, unwritable_segments, whole_pages};

    static CONSTANT: [u8; 3] = [1, 2, 3];
    static TABLE: [&[u8]; 1] = [&CONSTANT];

    #[test]
    fn segments_are_code_and_constants_and_nothing_that_was_written() {
        let segments = unwritable_segments();
        let lies = |address: usize| segments.iter().any(|segment| segment.contains(&address));
        assert!(lies(give_back as *const () as usize), "code");
        assert!(lies(CONSTANT.as_ptr() as usize), "constants");
        assert!(!lies((&raw const TABLE) as usize), "addresses that were relocated at start");
        assert!(!lies((&raw const segments) as usize), "the stack");
    }

    #[test]
    fn what_is_given_back_is_still_there() {
        // Other tests touch pages meanwhile.
        let given_back = (0..100).any(|_| {
            let before = field_bytes(&status(), "RssFile:");
            give_back();
            field_bytes(&status(), "RssFile:") < before
        });
        assert!(given_back);
        assert!(resident() > 0);
        assert_eq!((CONSTANT, TABLE[0].len()), ([1, 2, 3], 3));
    }

    #[test]
    fn pages_at_the_edges_stay() {
        assert_eq!(whole_pages(1..65_536 * 3 + 1).map(|pages| pages.end), Some(65_536 * 3));
        assert_eq!(whole_pages(10..20), None);
    }

    #[test]
    fn fields_of_the_kernel_are_kilobytes() {
        assert_eq!(field_bytes("Name:\tx\nVmRSS:\t    12 kB\n", "VmRSS:"), 12 * 1024);
        assert_eq!(field_bytes("Name:\tx\n", "VmRSS:"), 0);
    }
}
