//! Who runs the checks, and in which order. Where there is much to judge, several threads share the work: checks that look at all at
//! once go one by one; VirtualServices, of which a large mesh has most, go in parts, and all checks that judge them look at a part
//! while it is at hand.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicUsize};

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;

use crate::checks::{Check, Judge, Run};
use crate::input::Input;
use crate::message::Message;
use crate::order;
use crate::threads;

/// Fewer objects are not worth a thread.
const OBJECTS_A_THREAD: usize = 256;
/// Most threads that check at once.
const MOST_THREADS: usize = 8;
/// VirtualServices that are judged together: few enough for a processor to hold.
const PART: usize = 128;

type Service = Arc<Object<VirtualService>>;

/// What the checks find together, one check after the other, each in the order of output.
pub(crate) fn together(input: &Input, checks: &[&Check]) -> Vec<Message> {
    let mut lists = each(input, checks);
    // The longest grows by the others: of a large mesh, one check mostly finds nearly all.
    let longest = lists.iter().enumerate().max_by_key(|(_, list)| list.len()).map(|(index, _)| index);
    let mut all = longest.map(|index| lists.swap_remove(index)).unwrap_or_default();
    all.reserve_exact(lists.iter().map(Vec::len).sum());
    all.extend(lists.into_iter().flatten());
    all
}

/// What each check finds, in the order of output.
pub(crate) fn each(input: &Input, checks: &[&Check]) -> Vec<Vec<Message>> {
    let objects: usize = input.counts.values().sum();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = available.min(MOST_THREADS).min(objects / OBJECTS_A_THREAD);
    let work = Work::new(input, checks);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..wanted).map_while(|_| threads::start(scope, || work.take())).collect();
        let mut taken = work.take();
        for other in others {
            match other.join() {
                Ok(more) => taken.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        work.put_together(taken)
    })
}

/// What one check found in everything, or in the parts of the VirtualServices that one thread took.
struct Found {
    check: usize,
    messages: Vec<Message>,
}

/// What is left to do, for threads that take it piece by piece.
struct Work<'w> {
    input: &'w Input,
    checks: &'w [&'w Check],
    /// Positions of the checks that look at all at once; those that nobody has begun are the first so many.
    whole: Vec<usize>,
    whole_left: AtomicUsize,
    /// In the order of output, so that what is found needs little sorting.
    services: Vec<&'w Service>,
    parts_begun: AtomicUsize,
}

impl<'w> Work<'w> {
    fn new(input: &'w Input, checks: &'w [&'w Check]) -> Self {
        let is_whole = |index: &usize| matches!(checks[*index].how, Run::Whole(_));
        let whole: Vec<usize> = (0..checks.len()).filter(is_whole).collect();
        Self {
            input,
            checks,
            whole_left: AtomicUsize::new(whole.len()),
            whole,
            services: in_order_of_output(input),
            parts_begun: AtomicUsize::new(0),
        }
    }

    /// Does pieces of the work until none is left.
    fn take(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let relaxed = atomic::Ordering::Relaxed;
        // The checks that take longest stand last: they are begun first. The parts, which are small, come after all of them, so that no
        // thread is left alone with much.
        while let Ok(left) = self.whole_left.fetch_update(relaxed, relaxed, |left| left.checked_sub(1)) {
            let check = self.whole[left - 1];
            let mut messages = self.checks[check].run(self.input);
            order::sort(&mut messages);
            found.push(Found { check, messages });
        }
        let mut judges: Vec<(Judge<'_>, Found)> =
            self.judges().map(|(check, judge)| (judge, Found { check, messages: Vec::new() })).collect();
        loop {
            let part = self.parts_begun.fetch_add(1, relaxed);
            let Some(services) = self.services.chunks(PART).nth(part) else { break };
            for (judge, found) in &mut judges {
                services.iter().for_each(|service| judge(service, &mut found.messages));
            }
        }
        found.extend(judges.into_iter().map(|(_, found)| found));
        found
    }

    fn judges(&self) -> impl Iterator<Item = (usize, Judge<'w>)> {
        let input = self.input;
        self.checks.iter().enumerate().filter_map(move |(index, check)| match check.how {
            Run::Whole(_) => None,
            Run::VirtualServices(judge) => Some((index, judge(input)?)),
        })
    }

    /// What was found, by check, in the order of output.
    fn put_together(&self, found: Vec<Found>) -> Vec<Vec<Message>> {
        let mut lists: Vec<Vec<Message>> = self.checks.iter().map(|_| Vec::new()).collect();
        for mut one in found {
            let list = &mut lists[one.check];
            if list.is_empty() {
                *list = one.messages;
            } else {
                list.append(&mut one.messages);
            }
        }
        // What a check found in everything was sorted by the thread that ran it.
        let judged =
            self.checks.iter().zip(&mut lists).filter(|(check, _)| !matches!(check.how, Run::Whole(_)));
        judged.for_each(|(_, list)| order::sort(list));
        lists
    }
}

/// The VirtualServices by name and namespace.
fn in_order_of_output(input: &Input) -> Vec<&Service> {
    // Most names differ in their first bytes, which stand beside the reference: few comparisons have to look at the objects.
    let beginning = |name: &str| {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
        u128::from_be_bytes(bytes)
    };
    let services = input.snapshot.virtual_services.iter();
    let mut keyed: Vec<(u128, &Service)> =
        services.map(|service| (beginning(&service.metadata.name), service)).collect();
    keyed.sort_by(|(left, one), (right, other)| left.cmp(right).then_with(|| compare(one, other)));
    keyed.into_iter().map(|(_, service)| service).collect()
}

fn compare(one: &Service, other: &Service) -> Ordering {
    let (one, other) = (&one.metadata, &other.metadata);
    one.name.cmp(&other.name).then_with(|| one.namespace.cmp(&other.namespace))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::checks::ALL;
    use crate::input::load;

    /// More objects than one part and one thread get, broken in many ways, in an order that is not that of output.
    #[test]
    fn threads_and_parts_find_what_one_check_after_the_other_finds() {
        let mut yaml = String::new();
        for number in (0..1500).rev() {
            let (namespace, host) = (number % 7, number % 1400);
            write!(
                yaml,
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a-long-common-beginning-{number}, namespace: n{namespace}}}\nspec:\n  \
                 hosts: [h{host}]\n  gateways: [mesh, g{}]\n  http:\n  - match: [{{uri: {{prefix: /a}}, method: {{exact: get}}}}]\n    timeout: 1s\n    retries: {{attempts: 3, perTryTimeout: 1s}}\n    \
                 route: [{{destination: {{host: h{host}, subset: s}}, weight: 45}}, {{destination: {{host: other}}, weight: {}}}]\n  - match: [{{uri: {{prefix: /a/b}}, method: {{exact: get}}}}]\n    route: [{{destination: {{host: x}}}}]\n---\n",
                number % 3,
                if number % 2 == 0 { 50 } else { -1 },
            )
            .expect("a string takes any text");
        }
        yaml.push_str("apiVersion: v1\nkind: Service\nmetadata: {name: h1, namespace: n2}\nspec: {ports: [{port: 80}]}\n");
        let mut input = Input::default();
        assert!(load(&mut input, "f.yaml", yaml, "default").is_empty());
        let checks: Vec<&Check> = ALL.iter().collect();
        let found = each(&input, &checks);
        for (check, found) in checks.iter().zip(&found) {
            let mut alone = check.run(&input);
            alone.sort_by(Message::compare);
            alone.dedup();
            assert_eq!(*found, alone, "{}", check.name);
        }
        assert!(found.iter().filter(|messages| messages.len() > PART).count() > 5, "much is found");
    }
}
