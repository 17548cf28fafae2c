//! What goes wrong at X.

use rand::Rng as _;
use rand::rngs::StdRng;
use simulator::{Echo, Endpoint, Fault, FaultKind, Simulator};

use super::script::Town;
use super::{CALL, Size};

/// How likely one kind of fault is to hit a call.
const CHANCE: f64 = 0.012;
const WRITES: [Endpoint; 5] = [
    Endpoint::CreatePost,
    Endpoint::SendMessageTo,
    Endpoint::DeletePost,
    Endpoint::DeleteMessage,
    Endpoint::HideReply,
];
const LOOKS: [Endpoint; 2] = [Endpoint::UserPosts, Endpoint::MessagesWith];
const ECHOES: [Echo; 4] = [
    Echo::AT_ONCE,
    Echo::BEFORE_ANSWER,
    Echo::NEVER,
    Echo {
        when: simulator::EchoWhen::WithEffect,
        delay_ms: 2500,
    },
];

/// Orders everything, by the dice.
pub(super) fn order(simulator: &Simulator, dice: &mut StdRng, town: &Town, size: Size) {
    if size.long_waits {
        order_long_waits(simulator, dice, town);
    }
    for endpoint in WRITES {
        for fault in faults(dice) {
            let echo = ECHOES[dice.random_range(0..ECHOES.len())];
            let fault = Fault {
                chance: Some(CHANCE),
                ..fault
            };
            simulator.order(fault.on(endpoint).with_echo(echo));
        }
        // The process may be killed while X has done it and not answered yet.
        let slow = Fault::new(FaultKind::Nothing).with_chance(0.1).slow(0, 600);
        simulator.order(slow.on(endpoint).with_echo(Echo::AT_ONCE));
        for echo in ECHOES {
            let plain = Fault::new(FaultKind::Nothing).with_chance(0.12);
            simulator.order(plain.on(endpoint).with_echo(echo));
        }
    }
}

fn faults(dice: &mut StdRng) -> Vec<Fault> {
    // It has its effect before it is looked up.
    let beyond = CALL.as_millis() as u64 + 500;
    let endless = |fault: Fault| fault.always();
    let mut faults = vec![
        endless(Fault::new(FaultKind::AnswerLost)),
        endless(Fault::new(FaultKind::AnswerReset)),
        endless(Fault::new(FaultKind::AnswerCut {
            at: dice.random_range(0..400),
        })),
        endless(Fault::new(FaultKind::ResetBeforeReading)),
        endless(Fault::new(FaultKind::ResetAfterReading)),
        endless(Fault::new(FaultKind::NoId)),
        endless(Fault::new(FaultKind::Nothing).slow(beyond, 0)),
        endless(Fault::new(FaultKind::Nothing).slow(0, beyond)),
        endless(Fault::new(FaultKind::RateLimited {
            headers: true,
            reset_in_s: 2,
        })),
        Fault::new(FaultKind::CreditsDepleted),
    ];
    for effect in [true, false] {
        faults.push(endless(Fault::new(FaultKind::Garbage { effect })));
        for status in [500, 502, 503, 504] {
            let body = dice.random_bool(0.5).then(|| "<html>Over capacity".into());
            faults.push(endless(Fault::new(FaultKind::Status {
                status,
                body,
                effect,
            })));
        }
    }
    faults
}

/// A credential refused once, a limit that names no time, looks that fail: each is waited out for
/// half a minute or more, so only some accounts meet it, and soon.
fn order_long_waits(simulator: &Simulator, dice: &mut StdRng, town: &Town) {
    let blind = FaultKind::RateLimited {
        headers: false,
        reset_in_s: 0,
    };
    for kind in [FaultKind::Outage, FaultKind::Outage, blind] {
        let account = town.accounts[dice.random_range(0..town.accounts.len())];
        let endpoint = WRITES[dice.random_range(0..2)];
        simulator.order(Fault::new(kind).on(endpoint).of(account));
    }
    for endpoint in LOOKS {
        let kinds = [
            FaultKind::AnswerLost,
            FaultKind::AnswerCut { at: 300 },
            FaultKind::Status {
                status: 503,
                body: None,
                effect: false,
            },
        ];
        for kind in kinds {
            let fault = Fault {
                chance: Some(0.1),
                ..Fault::new(kind).on(endpoint)
            };
            simulator.order(fault);
        }
    }
}
