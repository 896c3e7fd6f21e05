//! A server or a client in a namespace. It does what it is told by lines: `connect`, `flood`, `rest`, `pause MS`, `close`. It says what
//! happens.

use std::io::stdin;
use std::time::Duration;

use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Event, Message, ValidConfig};
use pulsewire_transport_tokio::{Connection, Endpoint, Sender};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::cable::SERVER;
use super::namespaces::Outcome;

pub(crate) fn run(role: &str, configuration: &str) -> Outcome {
    let (give, commands) = unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if give.send(line).is_err() {
                break;
            }
        }
        // Nobody is interested any more.
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = configured(configuration)?;
    runtime.block_on(async {
        let endpoint = Endpoint::new(config);
        if role == "server" { serve(&endpoint, commands).await } else { connect(&endpoint, commands).await }
    })
}

/// A heartbeat of 600 ms + 3 × 300 ms; changed by `name=MS`, with commas between.
fn configured(text: &str) -> Outcome<ValidConfig> {
    let ms = Duration::from_millis;
    let mut config = Config::default();
    config.heartbeat.idle = ms(600);
    config.heartbeat.interval = ms(300);
    config.heartbeat.ping_floor = ms(50);
    config.heartbeat.busy_max = ms(2_000);
    config.timeouts.handshake = ms(120_000);
    config.timeouts.write_stall = ms(120_000);
    for (name, value) in text.split(',').filter_map(|setting| setting.split_once('=')) {
        let time = ms(value.parse()?);
        match name {
            "idle" => config.heartbeat.idle = time,
            "interval" => config.heartbeat.interval = time,
            "handshake" => config.timeouts.handshake = time,
            "write_stall" => config.timeouts.write_stall = time,
            other => return Err(format!("no setting {other}").into()),
        }
    }
    Ok(config.validate()?)
}

async fn serve(endpoint: &Endpoint, mut commands: UnboundedReceiver<String>) -> Outcome {
    let listener = endpoint.listen(SERVER).await?;
    println!("listening");
    let mut connection = listener.accept().await?;
    println!("accepted");
    loop {
        match connection.recv().await.ok_or("no first event")? {
            Event::Established(_) => break,
            Event::Closed(closed) => {
                println!("ended: {:?} by {:?}", closed.reason, closed.origin);
                return Ok(());
            }
            _ => {}
        }
    }
    println!("established");
    live(connection, &mut commands).await
}

async fn connect(endpoint: &Endpoint, mut commands: UnboundedReceiver<String>) -> Outcome {
    while commands.recv().await.ok_or("no command")? != "connect" {}
    let connection = endpoint.connect(SERVER).await?;
    println!("established");
    live(connection, &mut commands).await
}

async fn live(mut connection: Connection, commands: &mut UnboundedReceiver<String>) -> Outcome {
    let sender = connection.sender();
    let (flood, floods) = watch::channel(false);
    let flooding = tokio::spawn(send_on(sender.clone(), floods));
    // When the latest message came, until it is said that no more come.
    let (mut received, mut latest) = (0_u64, None);
    loop {
        let quiet = latest.map(|latest: Instant| latest + Duration::from_millis(500));
        tokio::select! {
            biased;
            event = connection.recv() => match event.ok_or("no event behind the end")? {
                Event::Message(_) => (received, latest) = (received + 1, Some(Instant::now())),
                Event::Suspect(_) => println!("suspect"),
                Event::Recovered(_) => println!("recovered"),
                Event::Closed(closed) => {
                    let numbered = format!("received {received} sent {}", connection.statistics().messages_sent);
                    println!("ended: {:?} by {:?}, orderly {}, {numbered}", closed.reason, closed.origin, closed.orderly);
                    flooding.abort();
                    return Ok(());
                }
                _ => {}
            },
            Some(command) = commands.recv() => match command.split_once(' ') {
                None if command == "flood" => drop(flood.send(true)),
                None if command == "rest" => drop(flood.send(false)),
                None if command == "close" => connection.close(CloseReason::NORMAL),
                Some(("pause", time)) => {
                    connection.pause();
                    let time = Duration::from_millis(time.parse()?);
                    tokio::spawn(resume_after(sender.clone(), time));
                }
                _ => return Err(format!("no command {command}").into()),
            },
            () = sleep_until(quiet.unwrap_or_else(Instant::now)), if quiet.is_some() => {
                println!("quiet after {received}");
                latest = None;
            }
        }
    }
}

async fn resume_after(sender: Sender, time: Duration) {
    sleep(time).await;
    println!("resumed");
    sender.resume();
}

/// Sends while it is to, and says when a message has to wait, and when it goes on.
async fn send_on(sender: Sender, mut floods: watch::Receiver<bool>) {
    let payload = vec![7; 32 << 10];
    loop {
        if floods.wait_for(|flood| *flood).await.is_err() {
            return;
        }
        let mut sending = std::pin::pin!(sender.send(Message::new(Class::BUSINESS, &payload[..])));
        let sent = match timeout(Duration::from_millis(700), &mut sending).await {
            Ok(sent) => sent,
            Err(_) => {
                println!("blocked");
                let sent = sending.await;
                println!("unblocked");
                sent
            }
        };
        if let Err(refused) = sent {
            println!("refused: {:?}", refused.reason);
            return;
        }
    }
}
