const { LATCHKEY_URL: service, ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env

module.exports = { service, issuer, audience: issuer, clientId, clientSecret }
