//! Opening the stream's socket, tried again before the carrier gives up.

use std::time::Duration;

use super::{Leg, Socket};
use tokio::time::timeout;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The first connection is tried this often.
const TRIES: u32 = 3;

impl Leg<'_> {
    pub(super) async fn connect_patiently(&self) -> Result<Socket, String> {
        let mut why = String::new();
        for _ in 0..TRIES {
            match timeout(CONNECT_WITHIN, self.shared.poster.dial(&self.step.url)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => "connection timed out".clone_into(&mut why),
            }
        }
        Err(format!("stream refused: {why}"))
    }
}
