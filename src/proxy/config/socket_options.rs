//! Options of a listener's sockets (`socket_options`), such as keepalive.

use socket2::SockRef;

use super::field::{FieldError, Within, refuse_if};
use super::proto::core;
use super::proto::core::socket_option::{SocketState, Value};

/// A compiled `SocketOption`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketOption {
    level: i32,
    name: i32,
    value: Box<[u8]>,
    state: SocketState,
}

impl SocketOption {
    /// Those of TCP sockets; options of datagrams are for others.
    pub(crate) fn compile_all(from: &[core::SocketOption]) -> Result<Vec<Self>, FieldError> {
        let mut compiled = Vec::with_capacity(from.len());
        for (index, each) in from.iter().enumerate() {
            let for_stream =
                each.r#type.as_ref().is_none_or(|kind| kind.stream.is_some() || kind.datagram.is_none());
            if for_stream {
                compiled.push(Self::compile(each).within_item("socket_options", index)?);
            }
        }
        Ok(compiled)
    }

    fn compile(from: &core::SocketOption) -> Result<Self, FieldError> {
        refuse_if(from.ip_version != 0, "ip_version", "is not supported")?;
        let number = |value: i64, field: &str| {
            i32::try_from(value).map_err(|_| FieldError::new(field, format!("{value} does not fit")))
        };
        let value = match &from.value {
            Some(Value::IntValue(value)) => number(*value, "int_value")?.to_ne_bytes().into(),
            Some(Value::BufValue(bytes)) => bytes.as_slice().into(),
            None => return Err(FieldError::new("value", "is missing; give int_value or buf_value")),
        };
        let state = SocketState::try_from(from.state);
        Ok(Self {
            level: number(from.level, "level")?,
            name: number(from.name, "name")?,
            value,
            state: state.map_err(|_| FieldError::new("state", format!("{} is unknown", from.state)))?,
        })
    }

    /// Sets those of the list whose time has come.
    pub(crate) fn set_all(list: &[Self], state: SocketState, socket: &SockRef<'_>) -> std::io::Result<()> {
        let mut due = list.iter().filter(|option| option.state == state);
        due.try_for_each(|option| {
            let set = crate::sys::socket_option::set(socket, option.level, option.name, &option.value);
            set.map_err(|error| {
                let SocketOption { level, name, .. } = option;
                std::io::Error::new(error.kind(), format!("socket option {name} of level {level}: {error}"))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn option(level: i32, name: i32, value: i64, state: SocketState) -> core::SocketOption {
        core::SocketOption {
            level: level.into(),
            name: name.into(),
            state: state as i32,
            value: Some(Value::IntValue(value)),
            ..core::SocketOption::default()
        }
    }

    #[test]
    fn keepalive_is_set_when_its_time_has_come() {
        let compiled = SocketOption::compile_all(&[
            option(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1, SocketState::StatePrebind),
            option(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 77, SocketState::StateBound),
        ]);
        let compiled = compiled.expect("compiled");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let before = socket.tcp_keepalive_time().expect("a time");
        SocketOption::set_all(&compiled, SocketState::StatePrebind, &SockRef::from(&socket)).expect("set");
        assert!(
            socket.keepalive().expect("a flag") && socket.tcp_keepalive_time().expect("a time") == before
        );
        SocketOption::set_all(&compiled, SocketState::StateBound, &SockRef::from(&socket)).expect("set");
        assert_eq!(socket.tcp_keepalive_time().expect("a time"), Duration::from_secs(77));
    }

    #[test]
    fn what_cannot_be_set_is_told() {
        let missing = core::SocketOption { value: None, ..option(1, 9, 1, SocketState::StatePrebind) };
        let error = SocketOption::compile_all(&[missing]).expect_err("refused");
        assert_eq!(
            (error.path.as_str(), error.reason.starts_with("is missing")),
            ("socket_options[0].value", true)
        );
        let long = option(1, 9, i64::MAX, SocketState::StatePrebind);
        assert_eq!(
            SocketOption::compile_all(&[long]).expect_err("refused").path,
            "socket_options[0].int_value"
        );
        let unknown =
            SocketOption::compile_all(&[option(6, 9999, 1, SocketState::StatePrebind)]).expect("compiled");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let error = SocketOption::set_all(&unknown, SocketState::StatePrebind, &SockRef::from(&socket));
        assert!(error.expect_err("refused").to_string().contains("socket option 9999 of level 6"));
    }
}
