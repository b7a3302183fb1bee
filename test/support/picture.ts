import { browser } from './browser.js'

/** CSS pixels. */
export const PICTURE_SIZE = { width: 1040, height: 500 }
export const SCALE = 1.3

/** One picture of a laptop, and of a phone before it. Takes and returns PNG files. */
export async function compose(laptop: Buffer, phone: Buffer): Promise<Buffer> {
  const page = await browser.newPage({ viewport: PICTURE_SIZE, deviceScaleFactor: SCALE })
  const source = (image: Buffer) => `data:image/png;base64,${image.toString('base64')}`
  await page.setContent(`
    <style>
      body { margin: 0; height: 100vh; background: transparent }
      img { position: absolute; display: block; }
      .laptop { left: 12px; top: 12px; width: 770px; border: 1px solid #d5d1c6; border-radius: 14px; box-shadow: 0 10px 30px -12px #0006 }
      .phone { right: 14px; bottom: 16px; width: 226px; border: 5px solid #0a0d0c; border-radius: 30px; box-shadow: 0 16px 36px -10px #000a }
    </style>
    <img class="laptop" src="${source(laptop)}" alt=""><img class="phone" src="${source(phone)}" alt="">`)
  return page.screenshot({ omitBackground: true })
}
