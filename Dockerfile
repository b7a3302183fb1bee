# The service:          docker build --target service -t latchkey .
# The sidecar:          docker run --entrypoint latchkey-sidecar latchkey
# The todo example:     docker build --target todo -t latchkey-todo .
# With a pinned base image, as a release should have:
#   docker build --build-arg BASE_IMAGE=docker.io/library/node:24-bookworm-slim@sha256:… .
# The base image needs Node 20.19 or newer with npm, and glibc or musl.
ARG BASE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${BASE_IMAGE} AS source
WORKDIR /app
# Copy the manifests first: the layers of the dependencies stay cached until a manifest changes.
COPY package.json package-lock.json ./
COPY verifier/package.json verifier/
COPY examples/todo/package.json examples/todo/

FROM source AS build
# No package needs an install script, and none may run one.
RUN ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
COPY . .
RUN ["npm", "run", "build"]
# Prepare the run-time files here: the final stages run no command.
RUN ["sh", "-c", "mkdir -p /run-time/data /run-time/bin && ln -s /app/dist/src/cli/main.js /run-time/bin/latchkey && ln -s /app/verifier/dist/sidecar/main.js /run-time/bin/latchkey-sidecar"]

FROM source AS dependencies
RUN ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
# Delete 35 MB of type declarations and source maps, a third of the folder. Nothing loads them at run time.
RUN ["find", "node_modules", "-type", "f", "(", "-name", "*.map", "-o", "-name", "*.d.ts", "-o", "-name", "*.d.mts", "-o", "-name", "*.d.cts", ")", "-delete"]

FROM ${BASE_IMAGE} AS runtime
ENV NODE_ENV=production HOST=0.0.0.0 PATH=/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=dependencies /app/node_modules /app/node_modules
# node_modules links to the verifier.
COPY --from=build /app/verifier/package.json /app/verifier/package.json
COPY --from=build /app/verifier/dist /app/verifier/dist
# The default database, sqlite:data/latchkey.db, is relative to this folder. The service writes only to data/.
WORKDIR /var/lib/latchkey
COPY --from=build --chown=10001:10001 /run-time/data /var/lib/latchkey/data
VOLUME /var/lib/latchkey/data
# A numeric id: Kubernetes cannot check runAsNonRoot against a user name.
USER 10001:10001

FROM runtime AS todo
COPY --from=build /app/examples/todo/package.json /app/examples/todo/package.json
COPY --from=build /app/examples/todo/page /app/examples/todo/page
COPY --from=build /app/examples/todo/dist /app/examples/todo/dist
EXPOSE 4000
ENTRYPOINT ["node", "/app/examples/todo/dist/server.js"]

# A build without --target makes the last stage.
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
COPY --from=build /app/console /app/console
EXPOSE 3000 9000
# /livez, not /readyz: a supervisor must not restart the service because a store is down.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "require(process.env.TLS_CERT_FILE ? 'https' : 'http').get({ host: '127.0.0.1', port: process.env.MANAGEMENT_PORT || 9000, path: '/livez', rejectUnauthorized: false }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# Node is process 1 and handles SIGTERM itself.
ENTRYPOINT ["node", "--v8-pool-size=1", "--max-semi-space-size=8", "/app/dist/src/cli/main.js"]
CMD ["serve"]
