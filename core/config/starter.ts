/**
 * The first configuration: one source and one handler, with the lines that a reader changes next. It must read without
 * a fault, which a test holds.
 */

export interface StarterOptions {
  /** Of the source: any text for github and stripe, whsec_ and base64 for standard-webhooks. */
  readonly secret: string
  /** Where the handler sends. */
  readonly echoUrl: string
  readonly port: number
}

export type StarterScheme = 'github' | 'stripe' | 'standard-webhooks'

/** What `npm start` writes where there is no configuration. */
export function starterConfig({ secret, echoUrl, port }: StarterOptions): string {
  return `# hooktrail: what comes in, and where it goes. Every key: docs/config.md. Check with: hooktrail validate
version: 1

# Loopback only. Change it to 0.0.0.0 to receive from elsewhere.
server: { host: 127.0.0.1, port: ${port} }

# Senders post to /webhooks/<source>. Only requests that are signed with one of the secrets are kept.
sources:
  demo:
    verify: github # or stripe, standard-webhooks, or {scheme: hmac, header: x-signature, …}
    secrets: [${JSON.stringify(secret)}]

# Each handler gets the events of one source, with retries.
handlers:
  echo:
    source: demo
    # hooktrail start answers itself at http://127.0.0.1:PORT/hooktrail-echo and prints what arrives.
    url: ${JSON.stringify(echoUrl)}
    allow_private: true # the URL is on this machine
    # events: ["issues.*"]
    # filter: 'has(payload.action) && payload.action == "opened"'
    # signing_secrets: ["\${file:/path/to/whsec}"]
`
}

/** What `hooktrail init --template` writes: the secret comes from the environment. */
export function templateConfig(scheme: StarterScheme): string {
  const name = sourceName(scheme)
  return `# hooktrail: what comes in, and where it goes. Every key: docs/config.md. Check with: hooktrail validate
version: 1

server: { host: 127.0.0.1, port: 8888 }

# Senders post to /webhooks/${name}.
sources:
  ${name}:
    verify: ${scheme}
    secrets: ["\${${secretVariable(scheme)}}"] # or "\${file:/path}"

handlers:
  app:
    source: ${name}
    url: "\${APP_URL:-http://127.0.0.1:3000/hooks}"
    allow_private: true # remove it when the URL is public
`
}

/** Variable of the environment that the template takes the secret from. */
export function secretVariable(scheme: StarterScheme): string {
  return `${sourceName(scheme).toUpperCase()}_SECRET`
}

function sourceName(scheme: StarterScheme): string {
  return scheme === 'standard-webhooks' ? 'partner' : scheme
}
