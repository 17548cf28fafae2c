# The service, and for trials the simulator (--target simulator), each on a base without shell and package manager.
#
#   docker build --tag twitter-channel .        or podman build, buildah build
#
# The base images can be any others: the first needs cargo and a C compiler, the second glibc, libgcc and the
# certificates of the public authorities. `make image` builds it without docker, `scripts/image` says how.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12

FROM ${BUILD_IMAGE} AS build
ARG PROFILE=release
ENV CARGO_TERM_COLOR=never
WORKDIR /src
# What is compiled changes seldom, what it is compiled for often: dependencies have a layer of their own, made beside
# empty sources. `rust-toolchain.toml` stays outside: the image brings its compiler.
# How the bundled SQLite is compiled stands in .cargo.
COPY .cargo .cargo/
COPY Cargo.toml Cargo.lock ./
COPY simulator/Cargo.toml simulator/
COPY benches/Cargo.toml benches/
COPY fuzz/Cargo.toml fuzz/
RUN mkdir -p src simulator/src simulator/tests/sim benches/load fuzz/src \
 && touch src/lib.rs simulator/src/lib.rs simulator/tests/sim/main.rs fuzz/src/lib.rs \
 && for main in src/main.rs simulator/src/main.rs benches/bare.rs benches/load/main.rs fuzz/src/libfuzzer.rs; do \
      echo 'fn main() {}' >"$main"; \
    done \
 && echo 'fn main() {}' >build.rs \
 && cargo build --locked --profile "$PROFILE" --package twitter-channel --package simulator --bins
COPY . .
# Older than what was built beside the empty ones, cargo would take the sources for known. Lines and symbols are for
# profiling where it is built, and four fifths of the size: a panic tells its file and line without them.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
 && cargo build --locked --profile "$PROFILE" --package twitter-channel --package simulator --bins \
 && folder=$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE") \
 && for program in twitter-channel simulator; do \
      install -D "target/$folder/$program" "/out/$program" && strip "/out/$program"; \
    done \
 && mkdir /out/data

# X itself, for trials: one file says all of it (simulator/example.toml).
FROM ${BASE_IMAGE} AS simulator
COPY --from=build /out/simulator /usr/local/bin/simulator
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/simulator"]

FROM ${BASE_IMAGE} AS twitter-channel
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="twitter-channel" \
      org.opencontainers.image.description="X (Twitter) as a channel of a helpdesk, over RabbitMQ" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/twitter-channel /usr/local/bin/twitter-channel
# The store's default path is below the working folder; all else may be read-only.
COPY --from=build --chown=65532:65532 /out/data /var/lib/twitter-channel
WORKDIR /var/lib/twitter-channel
VOLUME /var/lib/twitter-channel
# An area of the allocator for each thread, as glibc would have it, is 12 MB more at full speed, and no faster.
ENV MALLOC_ARENA_MAX=2
# A number: Kubernetes' runAsNonRoot cannot look names up.
USER 65532:65532
EXPOSE 8080 8081
# It knows the environment, not the arguments of `serve`: a settings file that moves private.listen is named there
# (TWITTER_CHANNEL_CONFIG).
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["/usr/local/bin/twitter-channel", "probe"]
ENTRYPOINT ["/usr/local/bin/twitter-channel"]
CMD ["serve"]
