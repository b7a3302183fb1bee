const { createVerifier } = require('@latchkey/verifier')
const { createGuards } = require('@latchkey/verifier/connect')
const express = require('express')

const { requireToken, requireRole } = createGuards(createVerifier(require('./options.cjs')))
const app = express()
app.get('/', requireToken, (request, response) => response.json({ hello: request.claims.sub }))
app.get('/admin', requireRole('admin'), (_request, response) => response.json({ hello: 'admin' }))
app.listen(process.env.PORT)
