//! A client made of bytes: what Go's zlib and Kubernetes' clients send, and what must come back.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;

use super::connection::{Transport, serve};
use super::frame::{self, Frame};
use super::header_block::{Decoder, Encoder, dictionary};

/// Two blocks of one zlib stream: the error and the data stream of a request for port 8080.
const ERROR_BLOCK: &str =
    "78bbe3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c6061606100a4398b20d198094ade8c0600000000ffff";
const DATA_BLOCK: &str = "c2aa19540e2512d60b000000ffff";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn control(kind: u16, flags: u8, payload: &[u8]) -> Bytes {
    let length = u32::try_from(payload.len()).unwrap() | u32::from(flags) << 24;
    [&[0x80, 3][..], &kind.to_be_bytes(), &length.to_be_bytes(), payload].concat().into()
}

fn syn_stream(stream: u32, block: &str) -> Bytes {
    control(1, 0, &[&stream.to_be_bytes()[..], &[0; 6], &bytes(block)].concat())
}

#[test]
fn the_dictionary_has_its_checksum() {
    let (mut low, mut high) = (1u32, 0u32);
    for byte in dictionary() {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    assert_eq!((dictionary().len(), high << 16 | low), (1423, 0xe3c6_a7c2));
}

#[test]
fn blocks_of_one_compression_are_read_in_order() {
    let mut decoder = Decoder::new();
    let error = decoder.decode(&bytes(ERROR_BLOCK)).unwrap();
    assert_eq!(error[0], ("streamtype".to_owned(), "error".to_owned()));
    let data = decoder.decode(&bytes(DATA_BLOCK)).unwrap();
    assert_eq!(data[0], ("streamtype".to_owned(), "data".to_owned()));
    assert_eq!(data[1], ("port".to_owned(), "8080".to_owned()));
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::new();
    for _ in 0..2 {
        assert_eq!(decoder.decode(&encoder.empty_block()).unwrap(), []);
    }
    assert!(Decoder::new().decode(b"x").is_err());
    assert!(Decoder::new().decode(&[0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2, 0xff]).is_err());
}

#[test]
fn frames_are_taken_whole_and_within_limits() {
    let sent = frame::data(1, true, b"hello");
    let mut buffer = BytesMut::from(&sent[..10]);
    assert_eq!(frame::take(&mut buffer), Ok(None));
    buffer.extend_from_slice(&sent[10..]);
    let data = Frame::Data { stream: 1, finished: true, data: Bytes::from_static(b"hello") };
    assert_eq!(frame::take(&mut buffer), Ok(Some(data)));
    assert!(buffer.is_empty());
    for wrong in
        [&[0, 0, 0, 1, 0, 0xff, 0, 0][..], &[0x80, 2, 0, 1, 0, 0, 0, 0], &[0x80, 3, 0, 3, 0, 0, 0, 0]]
    {
        assert!(frame::take(&mut BytesMut::from(wrong)).is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn streams_carry_data_both_ways_and_end() {
    let (mut to_server, from_client) = futures::channel::mpsc::unbounded::<std::io::Result<Bytes>>();
    let (to_client, mut from_server) = futures::channel::mpsc::unbounded::<Bytes>();
    let transport = Transport {
        source: Box::pin(from_client),
        sink: Box::pin(to_client.sink_map_err(std::io::Error::other)),
    };
    let served = tokio::spawn(serve(transport, async |mut accepted: mpsc::Receiver<_>| {
        while let Some(mut stream) = accepted.recv().await as Option<super::SpdyStream> {
            while let Some(data) = stream.incoming.recv().await {
                stream.outgoing.send(&[stream.header("streamtype").as_bytes(), b":", &data].concat()).await;
            }
            if !stream.gone.is_cancelled() {
                stream.outgoing.finish().await;
            }
        }
    }));
    let mut answer = async |sent: &[Bytes]| {
        for frame in sent {
            to_server.send(Ok(frame.clone())).await.unwrap();
        }
        from_server.next().await.unwrap()
    };
    assert_eq!(answer(&[control(6, 0, &7u32.to_be_bytes())]).await, frame::ping(7));
    let reply = answer(&[syn_stream(1, ERROR_BLOCK)]).await;
    assert_eq!(reply, frame::syn_reply(1, &Encoder::default().empty_block()));
    assert_eq!(answer(&[frame::data(1, false, b"abc")]).await, frame::data(1, false, b"error:abc"));
    // A window update means nothing to Kubernetes' peers and is passed over.
    let finished = answer(&[control(9, 0, &[0; 8]), frame::data(1, true, b"")]).await;
    assert_eq!(finished, frame::data(1, true, b""));
    let reply = answer(&[syn_stream(3, DATA_BLOCK)]).await;
    assert_eq!(&reply[..4], [0x80, 3, 0, 2]);
    assert_eq!(answer(&[frame::data(3, false, b"x")]).await, frame::data(3, false, b"data:x"));
    // A reset ends the stream without an answer; data for a stream that never was is refused.
    let refused = answer(&[control(3, 0, &[0, 0, 0, 3, 0, 0, 0, 5]), frame::data(9, false, b"y")]).await;
    assert_eq!(refused, control(3, 0, &[0, 0, 0, 9, 0, 0, 0, 2]));
    let farewell = answer(&[Bytes::from_static(&[0x80, 2, 0, 1, 0, 0, 0, 0])]).await;
    assert_eq!(&farewell[..4], [0x80, 3, 0, 7]);
    tokio::time::timeout(std::time::Duration::from_secs(60), served).await.unwrap().unwrap();
}
