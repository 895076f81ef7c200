// Every call that the contract's documentation shows, in its order and its form, from the same origin as the hub. The
// page around it has the values, and a map by which the package's name is the SDK.
import { initDirectCall } from 'clevertap-directcall-sdk';

const { accountId, apikey, cuid, clevertap, name, ringtone, callee, context } = window.given;
let DirectCallClient;

initDirectCall({ accountId, apikey, cuid, clevertap, name, ringtone })
  .then((client) => { DirectCallClient = client; })
  .catch((err) => console.error(err));

function call() {
  const callOptions = { receiver_image: '', initiator_image: '' };
  if (DirectCallClient.isEnabled()) {
    DirectCallClient.call(callee, context, callOptions)
      .then((response) => { console.log('Call response : ', response); })
      .catch((error) => { console.log('Call error : ', error); });
  }
  setTimeout(DirectCallClient.hangup(), 20000); // it hangs up at once, and there is no call to end yet
}

const logout = () => DirectCallClient.logout();

window.sample = { call, logout, client: () => DirectCallClient };
