//! Chains of a listener that would take the same connections: proxies refuse all of a listener that has such. The first chain keeps them.

use std::collections::HashSet;

use prost::Message;

use crate::generate::proto::listener::{FilterChain, FilterChainMatch, Listener};

/// Takes from each chain the server names that an earlier one has under the same conditions, and chains that have nothing left.
pub(super) fn keep_first_chains(listener: &mut Listener) {
    if listener.filter_chains.len() < 2 {
        return;
    }
    let mut taken = HashSet::new();
    listener.filter_chains.retain_mut(|chain| claims(chain, &mut taken));
}

/// Notes what a chain is for; false where others have all of it.
fn claims(chain: &mut FilterChain, taken: &mut HashSet<Claim>) -> bool {
    let mut condition = chain.filter_chain_match.take().unwrap_or_default();
    let names = std::mem::take(&mut condition.server_names);
    let for_any = names.is_empty();
    let wanted = if for_any { vec![String::new()] } else { names };
    let free: Vec<String> = wanted
        .into_iter()
        .filter(|name| {
            let claims = claims_of(&condition, name);
            let is_free = claims.iter().all(|claim| !taken.contains(claim));
            if is_free {
                taken.extend(claims);
            }
            is_free
        })
        .collect();
    let keeps = !free.is_empty();
    if !for_any {
        condition.server_names = free;
    }
    chain.filter_chain_match = (condition != FilterChainMatch::default()).then_some(condition);
    keeps
}

/// A server name, a range of addresses and everything else that a chain asks for.
#[derive(PartialEq, Eq, Hash)]
struct Claim {
    name: String,
    range: Vec<u8>,
    others: Vec<u8>,
}

/// What a chain without names takes of connections to one name.
fn claims_of(condition: &FilterChainMatch, name: &str) -> Vec<Claim> {
    let others = FilterChainMatch { prefix_ranges: Vec::new(), ..condition.clone() }.encode_to_vec();
    let of_range = |range: Vec<u8>| Claim { name: name.to_owned(), range, others: others.clone() };
    if condition.prefix_ranges.is_empty() {
        return vec![of_range(Vec::new())];
    }
    condition.prefix_ranges.iter().map(|range| of_range(range.encode_to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::proto::core::CidrRange;

    fn chain(name: &str, server_names: &[&str], ranges: &[&str]) -> FilterChain {
        let range = |address: &&str| CidrRange { address_prefix: (*address).to_owned(), prefix_len: None };
        let condition = FilterChainMatch {
            server_names: server_names.iter().map(|name| (*name).to_owned()).collect(),
            prefix_ranges: ranges.iter().map(range).collect(),
            ..FilterChainMatch::default()
        };
        FilterChain { name: name.to_owned(), filter_chain_match: Some(condition), ..FilterChain::default() }
    }

    #[test]
    fn the_first_chain_has_a_name_and_others_the_rest() {
        let mut listener = Listener {
            filter_chains: vec![
                chain("first", &["a", "b", "a"], &[]),
                chain("same", &["b"], &[]),
                chain("more", &["b", "c"], &[]),
                chain("elsewhere", &["b"], &["10.0.0.0"]),
                chain("range", &["b"], &["10.1.0.0", "10.0.0.0"]),
                chain("any", &[], &[]),
                FilterChain { name: "any again".to_owned(), ..FilterChain::default() },
            ],
            ..Listener::default()
        };
        keep_first_chains(&mut listener);
        let left: Vec<(&str, Vec<&str>)> = listener
            .filter_chains
            .iter()
            .map(|chain| {
                let names = chain.filter_chain_match.iter().flat_map(|condition| &condition.server_names);
                (chain.name.as_str(), names.map(String::as_str).collect())
            })
            .collect();
        assert_eq!(
            left,
            [("first", vec!["a", "b"]), ("more", vec!["c"]), ("elsewhere", vec!["b"]), ("any", vec![])]
        );
    }
}
