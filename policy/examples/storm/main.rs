//! A server with 1,000 clients restarts: when do they try to connect again? Prints how many tries there were in each second, and the
//! most in any tenth of it. With a fixed delay all 1,000 would come in the same one, again and again.
//!
//! ```text
//! cargo run -p pulsewire-policy --example storm
//! ```

mod simulation;

use simulation::{CRASH, RESTART, histogram, run};

fn main() {
    println!("It goes away in order, tells all to come again after 2 s, and is back after 1 s:\n");
    println!("{}", histogram(&run(&RESTART, 1)));
    println!("It crashes, and is back after 3 s:\n");
    print!("{}", histogram(&run(&CRASH, 1)));
}
