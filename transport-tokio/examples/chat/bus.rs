//! What servers say to each other goes through NATS.

use async_nats::{ConnectOptions, Error};
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::rooms::{Input, Notice};

const SUBJECT: &str = "pulsewire.chat";

/// Connects, and again whenever that is lost. `own` notices go to the other servers, theirs to the hub.
pub(crate) async fn join(url: &str, from: String, mut own: Receiver<Notice>, hub: Sender<Input>) -> Result<(), Error> {
    let client = ConnectOptions::new().no_echo().connect(url).await?;
    let mut letters = client.subscribe(SUBJECT).await?;
    tokio::spawn(async move {
        while let Some(notice) = own.recv().await {
            let letter = serde_json::to_vec(&(&from, notice)).expect("strings and numbers can be written");
            if let Err(error) = client.publish(SUBJECT, letter.into()).await {
                eprintln!("the other servers were not told: {error}");
            }
        }
    });
    tokio::spawn(async move {
        while let Some(letter) = letters.next().await {
            match serde_json::from_slice(&letter.payload) {
                Ok((from, notice)) => drop(hub.send(Input::Heard { from, notice }).await),
                Err(error) => eprintln!("not from a chat server: {error}"),
            }
        }
    });
    Ok(())
}
