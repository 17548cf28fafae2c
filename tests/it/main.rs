//! Integration tests, a file per matter.

mod normalize;
