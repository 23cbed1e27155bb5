//! HTTP/2 settings, the same on every hop.

use std::time::Duration;

use tonic::transport::{Endpoint, Server};

/// Version of the protocol spoken here; `Hello` carries the range a caller understands.
pub const PROTOCOL: u32 = 1;

/// The receiver sets the frame size; 256 KiB halves the sender's CPU against the default of 16 KiB,
/// while a keep-alive still never waits behind more than that.
const FRAME_SIZE: u32 = 256 * 1024;

/// Windows hold bandwidth × delay: 4 MiB is 320 Mbit/s at 100 ms for one track.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

/// One HTTP/2 stream per (child, stream, track).
const CONCURRENT_STREAMS: u32 = 4096;

/// A parent that does not answer a connection attempt within this is not a parent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An endpoint URI that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("endpoint {uri:?} is not usable: {reason}; a URI such as \"http://host:port\" is accepted")]
pub struct EndpointError {
    uri: String,
    reason: String,
}

/// A connection to `uri`, not yet dialled.
pub fn endpoint(uri: &str) -> Result<Endpoint, EndpointError> {
    let error = |reason: String| EndpointError {
        uri: uri.to_owned(),
        reason,
    };
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|e| error(e.to_string()))?;
    match endpoint.uri().scheme_str() {
        Some("http") => {}
        other => {
            return Err(error(format!(
                "scheme {:?} is not supported yet",
                other.unwrap_or("")
            )));
        }
    }
    if endpoint.uri().port_u16().is_none() {
        return Err(error("the port is missing".to_owned()));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE))
}

/// A server with the settings of every hop.
pub fn server() -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_concurrent_streams(CONCURRENT_STREAMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_endpoint_is_named() {
        for (uri, part) in [
            ("https://a:1", "scheme"),
            ("http://a", "port"),
            ("::", "\"::\""),
            ("a:1", "scheme"),
        ] {
            let error = endpoint(uri).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(uri), "{error}");
        }
        assert!(endpoint("http://127.0.0.1:18011").is_ok());
    }
}
