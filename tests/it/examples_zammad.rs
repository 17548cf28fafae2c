//! `examples/zammad`: between a stub that checks what Zammad documents and the real service.
