//! What a broker says of itself before anybody has signed in: product, version, certificate. The client library keeps none
//! of it, so this opens a connection of its own, reads the greeting and hangs up.

use chrono::{DateTime, Utc};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream};

use super::RabbitMqError;
use super::connection::Endpoint;

/// The header of AMQP 0-9-1.
const GREETING: &[u8] = b"AMQP\x00\x00\x09\x01";
/// A greeting longer than this is not one.
const GREETING_MOST: usize = 65_536;
/// Oldest version whose queues do what we ask for (storage §9).
pub(super) const OLDEST: [u32; 3] = [3, 8, 1];

/// What a broker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) product: String,
    pub(super) version: String,
    /// When its certificate ends, with TLS.
    pub(super) certificate_ends: Option<DateTime<Utc>>,
}

impl Probe {
    /// Whether it is new enough. What is no version is believed to be.
    pub(super) fn is_new_enough(&self) -> bool {
        let mut parts = self.version.split(['.', '-', '+']).map(str::parse::<u32>);
        let parts: [Option<u32>; 3] = std::array::from_fn(|_| parts.next().and_then(Result::ok));
        let [Some(major), minor, patch] = parts else { return true };
        [major, minor.unwrap_or(0), patch.unwrap_or(0)] >= OLDEST
    }
}

/// Asks a broker who it is.
pub(super) async fn probe(endpoint: &Endpoint) -> Result<Probe, RabbitMqError> {
    let asking = async {
        let runtime = lapin::runtime::default_runtime()?;
        let away = |e: std::io::Error| RabbitMqError::Away(e.to_string());
        let connecting = endpoint.uri.connect_with_config_async(endpoint.tls.as_ref(), &runtime);
        let mut stream = connecting.await.map_err(away)?;
        let certificate_ends = match &stream {
            AsyncTcpStream::Rustls(stream) => {
                let chain = stream.get_ref().1.peer_certificates();
                chain.and_then(|c| c.first()).and_then(|c| end_of(c))
            }
            _ => None,
        };
        stream.write_all(GREETING).await.map_err(away)?;
        stream.flush().await.map_err(away)?;
        let mut head = [0; 7];
        stream.read_exact(&mut head).await.map_err(away)?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        if head[0] != 1 || size > GREETING_MOST {
            return Err(RabbitMqError::Away("what answers does not speak AMQP 0-9-1".to_owned()));
        }
        let mut body = vec![0; size];
        stream.read_exact(&mut body).await.map_err(away)?;
        let property = |name: &str| property(&body, name).unwrap_or_else(|| "unknown".to_owned());
        Ok(Probe { product: property("product"), version: property("version"), certificate_ends })
    };
    match tokio::time::timeout(endpoint.connect, asking).await {
        Ok(probed) => probed,
        Err(_) => Err(RabbitMqError::Away(format!("no greeting within {:?}", endpoint.connect))),
    }
}

/// A text among the server's properties: the length and the name, `S`, the length and the text (AMQP 0-9-1 §4.2.5).
fn property(greeting: &[u8], name: &str) -> Option<String> {
    let mut mark = vec![u8::try_from(name.len()).ok()?];
    mark.extend(name.as_bytes());
    mark.push(b'S');
    let start = greeting.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let length = greeting.get(start..start + 4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    let text = greeting.get(start + 4..(start + 4).checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// `notAfter` of a certificate (RFC 5280 §4.1): in DER, the second time in the fifth element of `tbsCertificate`, or in the
/// fourth where the version is left out.
fn end_of(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    loop {
        let (tag, content, after) = element(rest)?;
        rest = after;
        // Validity is the first sequence that begins with a time.
        if tag == 0x30
            && let Some((0x17 | 0x18, _, not_after)) = element(content)
        {
            return match element(not_after)? {
                (0x17, text, _) => {
                    let text = std::str::from_utf8(text).ok()?;
                    let century = if text.get(..2)?.parse::<u32>().ok()? < 50 { "20" } else { "19" };
                    instant(&format!("{century}{text}"))
                }
                (0x18, text, _) => instant(std::str::from_utf8(text).ok()?),
                _ => None,
            };
        }
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    chrono::NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%SZ").ok().map(|t| t.and_utc())
}

/// Tag, content and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (long.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str) -> Probe {
        Probe { product: "RabbitMQ".into(), version: version.into(), certificate_ends: None }
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (text, good) in
            [("3.8.1", true), ("3.8.0", false), ("3.7.28", false), ("3.10.8", true), ("4.1.0-rc.1", true), ("4", true)]
        {
            assert_eq!(version(text).is_new_enough(), good, "{text}");
        }
    }

    #[test]
    fn a_text_is_found_among_the_properties() {
        let greeting = b"....\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8";
        assert_eq!(property(greeting, "version").as_deref(), Some("3.10.8"));
        assert_eq!(property(greeting, "platform"), None);
        assert_eq!(property(&greeting[..40], "version"), None, "cut off");
    }
}
