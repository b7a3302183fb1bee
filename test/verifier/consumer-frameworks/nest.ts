import 'reflect-metadata'
import type { IncomingMessage } from 'node:http'
import { createVerifier } from '@latchkey/verifier'
import { createGuards } from '@latchkey/verifier/connect'
import { Controller, Get, Inject, type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common'
import { NestFactory, REQUEST } from '@nestjs/core'

const { LATCHKEY_URL, ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env as Record<string, string>
const verifier = createVerifier({
  service: LATCHKEY_URL,
  issuer: ISSUER,
  audience: ISSUER,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
})
const { requireToken, requireRole } = createGuards(verifier)

@Controller()
class Home {
  @Inject(REQUEST) readonly request!: IncomingMessage

  @Get()
  home() {
    return { hello: this.request.claims?.sub }
  }

  @Get('admin')
  admin() {
    return { hello: 'admin' }
  }
}

@Module({ controllers: [Home] })
class App implements NestModule {
  configure(consumer: MiddlewareConsumer) {
    consumer.apply(requireToken).forRoutes(Home)
    consumer.apply(requireRole('admin')).forRoutes('admin')
  }
}

NestFactory.create(App, { logger: ['error'] }).then((app) => app.listen(PORT))
