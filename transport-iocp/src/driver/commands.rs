//! The commands of other threads, and what the driver tells them.

use pulsewire_policy::Traffic;
use pulsewire_protocol::Transmit;

use super::Driver;
use crate::client_sender::ClientOptions;
use crate::handler::Handler;
use crate::inbox::Command;
use crate::port::CompletionPort;
use crate::statistics::EndpointStatistics;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// Obeys the commands that wait.
    pub(super) fn obey(&mut self) {
        for command in self.inbox.take() {
            match command {
                Command::Look(id) => self.touch(id),
                Command::Listen { address, answer } => {
                    let _nobody_waits = answer.send(self.listen(address));
                }
                Command::StopListening { address, answer } => {
                    let _nobody_waits = answer.send(Ok(self.stop_listening(address)));
                }
                Command::Connect { remote, answer } => {
                    let _nobody_waits = answer.send(self.connect(remote));
                }
                Command::Statistics { id, answer } => {
                    let statistics = self.table.get_mut(id).map(|connection| connection.statistics());
                    let _nobody_waits = answer.send(Ok(statistics));
                }
                Command::StayConnected { remote, config, answer } => {
                    let options = ClientOptions { reconnect: config, ..ClientOptions::default() };
                    let _nobody_waits = answer.send(self.add_client(remote, options).map(|client| client.id()));
                }
                Command::AddClient { remote, options, answer } => {
                    let _nobody_waits = answer.send(self.add_client(remote, options));
                }
                Command::CloseClient { client, close, answer } => {
                    let _nobody_waits = answer.send(Ok(self.close_client(client, close)));
                }
                Command::EndpointStatistics { answer } => {
                    let _nobody_waits = answer.send(Ok(self.statistics()));
                }
                Command::Broadcast { message, answer } => {
                    let _nobody_waits = answer.send(Ok(self.broadcast(&message)));
                }
                Command::Posted(event) => self.call(|handler, turn| handler.posted(turn, event)),
                Command::ShutDown { drain, patience } => self.shut_down(drain, patience),
            }
        }
    }

    /// What was done so far, and where all stands.
    pub(crate) fn statistics(&self) -> EndpointStatistics {
        let mut traffic = self.service.statistics.traffic;
        let live = self.table.ids().filter_map(|id| self.table.get(id));
        let parting = self.farewells.ids().filter_map(|id| self.table.retired(id));
        live.chain(parting).for_each(|connection| traffic += Traffic::of(connection));
        EndpointStatistics {
            traffic,
            occupancy: self.service.gate.occupancy(),
            connections: self.table.len(),
            buffered: self.table.buffered(),
            receive_buffers: self.io.buffers.lent(),
            operations: self.io.outstanding,
            ..self.service.statistics
        }
    }
}
