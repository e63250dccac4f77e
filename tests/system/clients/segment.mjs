// node segment.mjs HOST WRITE_KEY: Segment's own node SDK, only its host changed.
import { Analytics } from '@segment/analytics-node';

const [host, writeKey] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, maxRetries: 0, httpRequestTimeout: 10000 });
analytics.on('error', (error) => {
  console.error(error);
  process.exitCode = 1;
});
const userId = 'segment-node';
analytics.identify({ userId, traits: { plan: 'gold' } });
analytics.page({ userId, name: 'Home', properties: { path: '/' } });
for (let view = 0; view < 30; ++view) {
  analytics.track({
    userId,
    event: 'Product Viewed',
    properties: { product_id: `p${view}`, price: 10 + view },
  });
}
// The same message twice, and once more in another request: one event.
for (let time = 0; time < 2; ++time) {
  analytics.track({ userId, event: 'Product Added', messageId: 'one-cart', properties: { price: 7 } });
}
await analytics.flush();
analytics.track({ userId, event: 'Product Added', messageId: 'one-cart', properties: { price: 7 } });
await analytics.closeAndFlush();
