//! gRPC's statuses in words, as its libraries write them.

/// By number, from 0.
const WORDS: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The word for a status; `None` for numbers that gRPC does not define.
pub fn word(status: u32) -> Option<&'static str> {
    WORDS.get(status as usize).copied()
}
