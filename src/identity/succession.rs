//! How one authority takes over from another without a refused handshake.
//!
//! A signer that peers trust already signs at once: another intermediate below the same root, or below a root that stands in the bundle
//! since the step before. Any other is announced first: its roots are trusted beside the old ones for a while; then it signs, and the old
//! roots stay trusted until the last certificate from below them has ended. A root that is taken out of a bundle whose other roots stay is
//! not trusted from then on.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::authority::{CertificateAuthority, split_pem};

/// A root of an authority that signs no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredRoot {
    /// The certificate.
    pub pem: String,
    /// Until when it is trusted.
    pub until: SystemTime,
}

/// Times of a succession.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long new roots are trusted before anything is signed below them.
    pub announcement: Duration,
    /// How long old roots are trusted after nothing is signed below them: as long as certificates live.
    pub retirement: Duration,
}

/// What became of an authority that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the one that signs, or that will.
    Known,
    /// It signs from now on.
    Signs,
    /// Its roots are trusted from now on; it will sign.
    Announced,
}

/// The authority that signs, the one that will, and what is trusted beside their roots.
#[derive(Debug)]
pub struct Succession {
    terms: Terms,
    current: Arc<CertificateAuthority>,
    next: Option<(Arc<CertificateAuthority>, SystemTime)>,
    retired: Vec<RetiredRoot>,
}

impl Succession {
    /// Begins with an authority that signs, and roots that were retired before.
    pub fn new(current: CertificateAuthority, retired: Vec<RetiredRoot>, terms: Terms) -> Self {
        Self { terms, current: Arc::new(current), next: None, retired }
    }

    /// The authority that signs.
    pub fn current(&self) -> &Arc<CertificateAuthority> {
        &self.current
    }

    /// Every root that is trusted, PEM; those of the current authority first, as they were written.
    pub fn trusted(&self) -> String {
        let mut bundle = format!("{}\n", self.current.root().trim_end());
        let mut known = certificates(&bundle);
        let announced = self.next.iter().flat_map(|(next, _)| split_pem(next.root()));
        for root in announced.chain(self.retired.iter().map(|root| root.pem.clone())) {
            let fresh = certificates(&root);
            if !fresh.is_subset(&known) {
                bundle.push_str(&root);
                known.extend(fresh);
            }
        }
        bundle
    }

    /// Roots that are trusted only because certificates from below them may still be in use.
    pub fn retired(&self) -> &[RetiredRoot] {
        &self.retired
    }

    /// Hears of the authority that is configured now.
    pub fn offer(&mut self, fresh: CertificateAuthority, now: SystemTime) -> Outcome {
        if fresh.has_same_material(&self.current) {
            // Taken back before it came into force.
            self.next = None;
            return Outcome::Known;
        }
        if self.next.as_ref().is_some_and(|(next, _)| fresh.has_same_material(next)) {
            return Outcome::Known;
        }
        self.next = None;
        if fresh.is_trusted_by(&self.trusted()) {
            self.put_in_force(Arc::new(fresh), now);
            return Outcome::Signs;
        }
        self.next = Some((Arc::new(fresh), now + self.terms.announcement));
        Outcome::Announced
    }

    /// When something changes by itself.
    pub fn next_step(&self) -> Option<SystemTime> {
        let signs = self.next.iter().map(|(_, at)| *at);
        signs.chain(self.retired.iter().map(|root| root.until)).min()
    }

    /// Takes the steps that are due; true where something changed.
    pub fn advance(&mut self, now: SystemTime) -> bool {
        let before = self.retired.len();
        self.retired.retain(|root| root.until > now);
        let mut changed = self.retired.len() != before;
        if let Some((next, _)) = self.next.take_if(|(_, at)| *at <= now) {
            self.put_in_force(next, now);
            changed = true;
        }
        changed
    }

    fn put_in_force(&mut self, next: Arc<CertificateAuthority>, now: SystemTime) {
        let kept = certificates(next.root());
        let old = std::mem::replace(&mut self.current, next);
        self.retired.retain(|root| !certificates(&root.pem).is_subset(&kept));
        if certificates(old.root()).is_disjoint(&kept) {
            let until = now + self.terms.retirement;
            self.retired.extend(split_pem(old.root()).into_iter().map(|pem| RetiredRoot { pem, until }));
        }
    }
}

/// The certificates of a PEM text, however it is written.
pub fn certificates(pem: &str) -> BTreeSet<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).map(|der| der.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Lifetimes, ROOT_TTL, self_signed};
    use crate::material::AuthorityMaterial;

    const TERMS: Terms =
        Terms { announcement: Duration::from_secs(10), retirement: Duration::from_secs(3600) };

    fn made(material: &AuthorityMaterial) -> CertificateAuthority {
        CertificateAuthority::new(material.clone(), Lifetimes::default()).unwrap()
    }

    fn root(name: &str) -> AuthorityMaterial {
        self_signed(name, ROOT_TTL).unwrap()
    }

    fn with_roots(signer: &AuthorityMaterial, roots: &[&AuthorityMaterial]) -> AuthorityMaterial {
        let root = roots.iter().map(|material| material.root.as_str()).collect();
        AuthorityMaterial { root, ..signer.clone() }
    }

    #[test]
    fn a_stranger_is_announced_signs_later_and_the_old_root_is_trusted_while_its_certificates_live() {
        let (old, new, now) = (root("old"), root("new"), SystemTime::now());
        let mut succession = Succession::new(made(&old), Vec::new(), TERMS);
        assert_eq!(succession.offer(made(&new), now), Outcome::Announced);
        assert_eq!(succession.offer(made(&new), now + Duration::from_secs(5)), Outcome::Known);
        assert!(succession.current().is_of(&old), "signs before it is trusted everywhere");
        let both = succession.trusted();
        assert!(made(&old).is_trusted_by(&both) && made(&new).is_trusted_by(&both));

        assert!(!succession.advance(now + Duration::from_secs(9)));
        assert_eq!(succession.next_step(), Some(now + TERMS.announcement));
        let later = now + TERMS.announcement;
        assert!(succession.advance(later));
        assert!(succession.current().is_of(&new));
        assert!(made(&old).is_trusted_by(&succession.trusted()), "leaves of the old root still live");

        assert!(succession.advance(later + TERMS.retirement));
        assert!(!made(&old).is_trusted_by(&succession.trusted()));
        assert_eq!(succession.next_step(), None);
    }

    #[test]
    fn the_three_steps_of_an_operator_take_effect_at_once_and_what_is_taken_out_is_refused() {
        let (old, new, now) = (root("old"), root("new"), SystemTime::now());
        let mut succession = Succession::new(made(&old), Vec::new(), TERMS);
        assert_eq!(succession.offer(made(&with_roots(&old, &[&old, &new])), now), Outcome::Signs);
        assert!(made(&new).is_trusted_by(&succession.trusted()));
        assert_eq!(succession.offer(made(&with_roots(&new, &[&old, &new])), now), Outcome::Signs);
        assert_eq!(succession.offer(made(&with_roots(&new, &[&new])), now), Outcome::Signs);
        assert!(!made(&old).is_trusted_by(&succession.trusted()));
        assert!(succession.retired().is_empty());
    }

    #[test]
    fn a_change_that_is_taken_back_leaves_nothing_and_one_that_trusts_both_is_announced_too() {
        let (old, new, now) = (root("old"), root("new"), SystemTime::now());
        let mut succession = Succession::new(made(&old), Vec::new(), TERMS);
        let hasty = with_roots(&new, &[&old, &new]);
        assert_eq!(succession.offer(made(&hasty), now), Outcome::Announced, "nobody trusts the signer yet");
        assert_eq!(succession.offer(made(&old), now), Outcome::Known);
        assert!(!made(&new).is_trusted_by(&succession.trusted()));
        assert_eq!(succession.next_step(), None);
    }
}
