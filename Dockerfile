# The service:          docker build --target service -t latchkey .
# The todo example:     docker build --target todo -t latchkey-todo .
# With a base that is pinned, as releases should be:
#   docker build --build-arg BASE_IMAGE=docker.io/library/node:24-bookworm-slim@sha256:… .
# Any base will do that has Node 20.19 or newer with npm, and glibc or musl.
ARG BASE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${BASE_IMAGE} AS source
WORKDIR /app
# The manifests first: while they do not change, neither do the layers of what they name.
COPY package.json package-lock.json ./
COPY verifier/package.json verifier/
COPY examples/todo/package.json examples/todo/

FROM source AS build
# No package here needs a script to install itself, and none gets to run one.
RUN ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
COPY . .
RUN ["npm", "run", "build"]
# What has to be there at run time, made here: the last stages run nothing.
RUN ["sh", "-c", "mkdir -p /run-time/data /run-time/bin && ln -s /app/dist/src/cli/main.js /run-time/bin/latchkey"]

FROM source AS dependencies
RUN ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
# A third of it is for editors and debuggers: 35 MB of types and maps that nothing loads.
RUN ["find", "node_modules", "-type", "f", "(", "-name", "*.map", "-o", "-name", "*.d.ts", "-o", "-name", "*.d.mts", "-o", "-name", "*.d.cts", ")", "-delete"]

FROM ${BASE_IMAGE} AS runtime
ENV NODE_ENV=production HOST=0.0.0.0 PATH=/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=dependencies /app/node_modules /app/node_modules
# node_modules has a link to it.
COPY --from=build /app/verifier/package.json /app/verifier/package.json
COPY --from=build /app/verifier/dist /app/verifier/dist
# The folder above the default database, sqlite:data/latchkey.db: the one place that is written to.
WORKDIR /var/lib/latchkey
COPY --from=build --chown=10001:10001 /run-time/data /var/lib/latchkey/data
VOLUME /var/lib/latchkey/data
# By number: a cluster that demands runAsNonRoot cannot look names up.
USER 10001:10001

FROM runtime AS todo
COPY --from=build /app/examples/todo/package.json /app/examples/todo/package.json
COPY --from=build /app/examples/todo/page /app/examples/todo/page
COPY --from=build /app/examples/todo/dist /app/examples/todo/dist
EXPOSE 4000
ENTRYPOINT ["node", "/app/examples/todo/dist/server.js"]

# The last stage is what a build without --target makes.
FROM runtime AS service
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Latchkey" \
      org.opencontainers.image.description="A token service: sign-in, exactly-once refresh, and sign-out that takes effect at once, everywhere" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /run-time/bin /app/bin
COPY --from=build /app/package.json /app/package.json
COPY --from=build /app/dist/schemas /app/dist/schemas
COPY --from=build /app/dist/src /app/dist/src
EXPOSE 3000 9000
# Live, not ready: who restarts what is unhealthy should not do so because a store is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MANAGEMENT_PORT || 9000}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and handles SIGTERM itself.
ENTRYPOINT ["node", "--v8-pool-size=1", "/app/dist/src/cli/main.js"]
CMD ["serve"]
