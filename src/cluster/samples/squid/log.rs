//! `/var/log/squid/access.log` in squid's own format, and the same lines on standard output.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const FILE: &str = "/var/log/squid/access.log";

/// A request as it was asked.
pub(super) struct Entry {
    pub(super) began: Instant,
    pub(super) client: IpAddr,
    pub(super) method: String,
    pub(super) target: String,
}

/// Where lines go.
pub(super) struct Log {
    /// `None` where the folder cannot be written.
    file: Option<Mutex<File>>,
}

impl Log {
    pub(super) fn open() -> Self {
        let opened = OpenOptions::new().create(true).append(true).open(FILE);
        if let Err(error) = &opened {
            eprintln!("{FILE}: {error}; lines go to standard output alone");
        }
        Self { file: opened.ok().map(Mutex::new) }
    }

    /// Tells of a request that is over: squid's code, the status, bytes to the client and the server it went to.
    pub(super) fn tell(&self, entry: &Entry, code: &str, status: u16, bytes: u64, server: Option<IpAddr>) {
        let now = jiff::Timestamp::now();
        let line = line(now.as_millisecond(), entry, (code, status, bytes), server);
        println!("{line}");
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk must not end the proxy.
            let _not_kept = writeln!(file, "{line}");
        }
    }
}

fn line(now: i64, entry: &Entry, (code, status, bytes): (&str, u16, u64), server: Option<IpAddr>) -> String {
    let server = server.map_or("HIER_NONE/-".to_owned(), |address| format!("HIER_DIRECT/{address}"));
    format!(
        "{}.{:03} {:>6} {} {code}/{status:03} {bytes} {} {} - {server} -",
        now / 1000,
        now % 1000,
        entry.began.elapsed().as_millis(),
        entry.client,
        entry.method,
        entry.target,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_squids() {
        let entry = Entry {
            began: Instant::now(),
            client: IpAddr::from([10, 0, 0, 1]),
            method: "CONNECT".to_owned(),
            target: "example.com:443".to_owned(),
        };
        let told =
            line(1_544_160_065_248, &entry, ("TCP_TUNNEL", 200, 87), Some(IpAddr::from([192, 0, 2, 1])));
        let words: Vec<&str> = told.split_whitespace().collect();
        assert_eq!(words[0], "1544160065.248");
        assert_eq!(
            words[2..].join(" "),
            "10.0.0.1 TCP_TUNNEL/200 87 CONNECT example.com:443 - HIER_DIRECT/192.0.2.1 -"
        );
    }
}
