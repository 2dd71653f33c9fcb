//! Bytes that come back, behind what the server says of itself.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::fields::Fields;
use super::server::{Instance, Peer};

/// What a port says first where it is told to.
pub(super) const MAGIC: &str = "server-first-protocol\n";

pub(super) async fn echo<S>(mut stream: S, peer: &Peer, instance: &Instance)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    instance.counters.count("tcp", instance.identity.port);
    // A connection that breaks is over.
    let _ended = answer(&mut stream, peer, instance).await;
}

async fn answer<S>(stream: &mut S, peer: &Peer, instance: &Instance) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    if instance.server_first {
        stream.write_all(MAGIC.as_bytes()).await?;
    }
    let mut buffer = vec![0; 4096];
    let mut is_first = true;
    loop {
        let read = stream.read(&mut buffer).await?;
        // Not before the client spoke: what comes earlier is what the server says first.
        if std::mem::take(&mut is_first) {
            let mut fields = Fields::default();
            fields
                .instance(&instance.identity, peer.address, "TCP")
                .put("Hostname", &instance.identity.host_name);
            stream.write_all(fields.into_text().as_bytes()).await?;
        }
        if read == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..read]).await?;
    }
}
